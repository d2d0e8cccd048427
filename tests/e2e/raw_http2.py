"""An HTTP/2 client that sends exactly the frames it is told to, and says what comes."""

import contextlib
import socket
import struct
from collections import namedtuple

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Frame = namedtuple("Frame", "type flags stream payload")


class Gone(Exception):
    """The server closed the connection."""


class Http2Client:
    def __init__(self, address, settings=None, timeout=15.0, tls=None):
        """`settings`: pairs of identifier and value for the first SETTINGS frame; `tls`: an ssl.SSLContext."""
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
        self.buffer = b""
        self.next_stream = 1
        self.frames = []
        payload = b"".join(struct.pack(">HI", *pair) for pair in (settings or []))
        self.send_bytes(PREFACE + self.frame(SETTINGS, 0, 0, payload))
        # The server's windows hold from our acknowledgement on.
        self.read_until(lambda frame: frame.type == SETTINGS and not frame.flags & ACK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Gone from None

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.send_bytes(self.frame(kind, flags, stream, payload))
        return self

    def head(self, method, path, headers=(), authority="sterna.localhost"):
        fields = [(":method", method), (":scheme", "http"), (":path", path)]
        fields += [(":authority", authority)] if authority is not None else []
        return self.encoder.encode([*fields, *headers], huffman=False)

    def request(self, method, path, headers=(), body=b"", end=True, **more):
        """Sends a request and answers its stream; without `end`, more of the body is to come."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        ends = END_STREAM if end and not body else 0
        self.send(HEADERS, END_HEADERS | ends, stream, self.head(method, path, headers, **more))
        if body:
            self.send(DATA, END_STREAM if end else 0, stream, body)
        return stream

    def read_frame(self):
        """The next frame; raises Gone at the end."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                part = self.socket.recv(65536)
            except ConnectionError:
                part = b""
            if not part:
                raise Gone
            self.buffer += part
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        frame = Frame(kind, flags, stream & 0x7FFFFFFF, self.buffer[9 : 9 + length])
        self.buffer = self.buffer[9 + length :]
        if frame.type == SETTINGS and not frame.flags & ACK:
            with contextlib.suppress(Gone):
                self.send(SETTINGS, ACK)
        self.frames.append(frame)
        return frame

    def read_until(self, wanted):
        """The next frame for which `wanted` answers true."""
        while True:
            frame = self.read_frame()
            if wanted(frame):
                return frame

    def response(self, stream):
        """Status, headers and body; windows are given back. A stream that is reset has the status None."""
        status, headers, body = None, {}, b""
        while True:
            frame = self.read_frame()
            if frame.type == HEADERS:  # whatever its stream: the table of names must stay in step
                block, ends = frame.payload, frame.flags & END_HEADERS
                while not ends:
                    rest = self.read_frame()
                    block, ends = block + rest.payload, rest.flags & END_HEADERS
                fields = dict(self.decoder.decode(block))
                if frame.stream == stream and int(fields.get(":status", 0)) >= 200:
                    headers, status = fields, int(fields[":status"])
            if frame.stream != stream:
                continue
            if frame.type == RST_STREAM:
                return None if status is None else status, headers, body
            if frame.type == DATA:
                body += frame.payload
                if frame.payload:
                    window = struct.pack(">I", len(frame.payload))
                    with contextlib.suppress(Gone):  # a server that drains may have sent all and closed
                        self.send(WINDOW_UPDATE, 0, 0, window).send(WINDOW_UPDATE, 0, stream, window)
            if frame.type in (DATA, HEADERS) and frame.flags & END_STREAM:
                return status, headers, body

    def goaway(self):
        """The error code of the GOAWAY, None when the server closed without one."""
        try:
            frame = self.read_until(lambda each: each.type == GOAWAY)
        except Gone:
            return None
        return int.from_bytes(frame.payload[4:8], "big")

    def is_closed(self):
        try:
            while True:
                self.read_frame()
        except Gone:
            return True
