"""A DNS server whose records a test changes while it runs: answers A and AAAA by UDP."""

import ipaddress
import socket
import struct
import threading

TYPES = {1: 4, 28: 6}  # A, AAAA: the version of their addresses
NO_NAME = 3


class NameService:
    """`records` maps a name to its addresses; names that it lacks do not exist. Use as a context manager, in the host
    that it shall serve."""

    def __init__(self, address):
        self.records = {}
        self.asked = []  # (name, type) in order
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._socket.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while not self._ending.is_set():
            try:
                packet, sender = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(packet), sender)

    def _answer(self, packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        (kind,) = struct.unpack("!H", packet[at + 1 : at + 3])
        question = packet[12 : at + 5]
        name = ".".join(labels)
        self.asked.append((name, kind))
        known = self.records.get(name)
        addresses = [ipaddress.ip_address(each) for each in known or []]
        found = [each.packed for each in addresses if each.version == TYPES.get(kind)]
        flags = 0x8180 | (NO_NAME if known is None else 0)
        head = packet[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        records = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 30, len(each)) + each for each in found]
        return head + question + b"".join(records)
