"""Two network namespaces joined by a virtual cable: a host for the server and a host that it may talk to."""

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def enter(name):
    """Moves the calling thread, and what it starts from now on, into a namespace."""
    with open(f"/run/netns/{name}") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


class Pair:
    here_address, there_address = "10.231.7.1", "10.231.7.2"

    def __init__(self):
        self.here, self.there = f"sterna-here-{os.getpid()}", f"sterna-there-{os.getpid()}"

    def __enter__(self):
        ip("netns", "add", self.here)
        ip("netns", "add", self.there)
        ip(
            "-n",
            self.here,
            "link",
            "add",
            "veth-here",
            "type",
            "veth",
            "peer",
            "name",
            "veth-there",
            "netns",
            self.there,
        )
        for name, link, address in (
            (self.here, "veth-here", self.here_address),
            (self.there, "veth-there", self.there_address),
        ):
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.here, "route", "add", "default", "via", self.there_address)
        return self

    def __exit__(self, *_):
        ip("netns", "delete", self.here)
        ip("netns", "delete", self.there)

    def enter_here(self):
        enter(self.here)

    def run_here(self, work):
        return self.run_in(self.here, work)

    def run_there(self, work):
        return self.run_in(self.there, work)

    @staticmethod
    def run_in(name, work):
        with ThreadPoolExecutor(1, initializer=enter, initargs=(name,)) as thread:
            return thread.submit(work).result()
