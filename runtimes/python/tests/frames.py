"""Frames in plain Python, written from wire/PROTOCOL.md and independent of the C++ code that is
tested."""

import json
import struct
from dataclasses import dataclass, field

INIT, REQUEST, BODY, CANCEL, WINDOW, SHUTDOWN = 1, 2, 3, 4, 5, 6
READY, LOAD_FAILED, RESPONSE, RESPONSE_BODY, FAILED, LOG, RECALLED = 16, 17, 18, 19, 20, 21, 22
PLATFORM = 3  # the stream of a LOG
RAISED, BAD_ANSWER, CANCELLED = 1, 2, 3
UNKNOWN = 2**64 - 1

_HEADER = struct.Struct("<IBBHQ")


@dataclass
class Frame:
    type: int
    more: bool
    slot: int
    call: int
    payload: bytes


def frame(kind, payload=b"", call=0, slot=0, more=False):
    return _HEADER.pack(len(payload), kind, int(more), slot, call) + payload


def cut(data):
    """(the first frame or None, the rest)"""
    if len(data) < _HEADER.size:
        return None, data
    size, kind, flags, slot, call = _HEADER.unpack_from(data)
    end = _HEADER.size + size
    if len(data) < end:
        return None, data
    return Frame(kind, bool(flags & 1), slot, call, data[_HEADER.size : end]), data[end:]


def init(bundle, env=None, concurrency=1, async_concurrency=None, handler="handler.py"):
    """Without `async_concurrency` both kinds of handlers get the same."""
    text = {
        "space": "default",
        "function": "hello",
        "version": 3,
        "instance": "hello-1",
        "bundle": str(bundle),
        "handler": handler,
        "env": env or {},
        "concurrency": concurrency,
        "async_concurrency": async_concurrency or concurrency,
    }
    return frame(INIT, json.dumps(text).encode())


def headers_block(headers):
    block = b""
    for name, value in headers:
        block += struct.pack("<II", len(name), len(value)) + name + value
    return block


def request(
    call=1, slot=None, method=b"POST", path=b"/", query=b"", headers=(), body=b"", more=False
):
    slot = call if slot is None else slot
    block = headers_block(headers)
    head = struct.pack("<IIIII", len(method), len(path), len(query), len(headers), len(block))
    return frame(REQUEST, head + method + path + query + block + body, call, slot, more)


@dataclass
class Response:
    status: int
    run_ns: int
    content_length: int
    headers: list
    body: bytes
    logs: list = field(default_factory=list)

    def header(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


def read_response(payload):
    status, count, size, reserved, run_ns, length = struct.unpack_from("<IIIIQQ", payload)
    assert reserved == 0
    at, headers = 32, []
    for _ in range(count):
        name_bytes, value_bytes = struct.unpack_from("<II", payload, at)
        at += 8
        headers.append(
            (
                payload[at : at + name_bytes].decode(),
                payload[at + name_bytes : at + name_bytes + value_bytes].decode("latin-1"),
            )
        )
        at += name_bytes + value_bytes
    assert at == 32 + size
    return Response(status, run_ns, length, headers, payload[at:])


@dataclass
class Failure:
    kind: int
    run_ns: int
    text: str
    logs: list = field(default_factory=list)


def read_failed(payload):
    kind, reserved, run_ns = struct.unpack_from("<IIQ", payload)
    assert reserved == 0
    return Failure(kind, run_ns, payload[16:].decode())
