"""A real worker process, driven over its socket."""

import ctypes
import json
import mmap
import os
import platform
import select
import socket
import struct
import subprocess
import time

import frames

RUNTIME = os.environ.get("STERNA_PYTHON_RUNTIME") or os.path.join(
    os.path.dirname(__file__), "../../../build/dev/runtimes/python"
)
PYTHON = os.environ.get("STERNA_PYTHON", "/usr/bin/python3")
DEADLINE_SECONDS = 20
FREE, QUEUED, STARTED, TAKEN_BACK = 0, 1, 2, 3
BELL = 4092  # offset in the claim page
FUTEX_OF_MACHINE = {"x86_64": 202, "aarch64": 98}  # the system call's number


UNDER_SANITIZER = "STERNA_PYTHON_PRELOAD" in os.environ


def sanitizer_environment():
    """What a worker needs whose native part is built with a sanitizer
    (runtimes/python/CMakeLists.txt)."""
    preload = os.environ.get("STERNA_PYTHON_PRELOAD")
    return (
        {"LD_PRELOAD": preload, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
        if preload
        else {}
    )


class Worker:
    def __init__(self, bundle, **init):
        self.socket, theirs = socket.socketpair()
        claim_fd = os.memfd_create("claims")
        os.ftruncate(claim_fd, 4096)
        self.claims = mmap.mmap(claim_fd, 4096)
        self.output, output_fd = os.pipe()
        self.process = self.spawn(theirs.fileno(), claim_fd, output_fd)
        theirs.close()
        os.close(claim_fd)
        os.close(output_fd)
        self.deadline = time.monotonic() + DEADLINE_SECONDS
        self.data = b""
        self.logs = []  # (call, stream, text)
        self.send(frames.init(bundle, **init))

    def spawn(self, socket_fd, claim_fd, output_fd):
        command = [PYTHON, "-m", "sterna_worker", "serve", "--socket-fd", str(socket_fd)]
        command += ["--claim-fd", str(claim_fd), "--output-fd", str(output_fd)]
        return subprocess.Popen(
            command,
            pass_fds=(socket_fd, claim_fd, output_fd),
            env={"PYTHONPATH": RUNTIME, "SECRET_OF_SERVER": "x", **sanitizer_environment()},
            cwd="/",
        )

    def send(self, data):
        self.socket.sendall(data)

    def claim(self, slot):
        return struct.unpack_from("<I", self.claims, slot * 4)[0]

    def set_claim(self, slot, value):
        struct.pack_into("<I", self.claims, slot * 4, value)

    def ring(self):
        """Rings the claim page's bell, as the server does when a run takes long."""
        bell = ctypes.c_uint32.from_buffer(self.claims, BELL)
        bell.value += 1
        futex = FUTEX_OF_MACHINE[platform.machine()]
        ctypes.CDLL(None).syscall(futex, ctypes.byref(bell), 1, 2**31 - 1, None, None, 0)

    def request(self, call=1, slot=None, queued=QUEUED, **parts):
        self.set_claim(call if slot is None else slot, queued)
        self.send(frames.request(call, slot, **parts))

    def _wait(self, fd):
        if not select.select([fd], [], [], max(0, self.deadline - time.monotonic()))[0]:
            raise AssertionError(f"nothing came in time; logs so far: {self.logs}")

    def next_frame(self):
        """The next frame of any type; None at the end of the stream."""
        while True:
            found, self.data = frames.cut(self.data)
            if found is not None:
                return found
            self._wait(self.socket)
            got = self.socket.recv(1 << 20)
            if not got:
                return None
            self.data += got

    def next(self):
        """The next frame that is not a LOG; those are put into `logs`."""
        while (got := self.next_frame()) is not None and got.type == frames.LOG:
            text = got.payload[1:].decode()
            assert text.endswith("\n")
            self.logs.append((got.call, got.payload[0], text))
        return got

    def next_frame_if_any(self):
        """A frame that is there already; None otherwise."""
        if not self.data and not select.select([self.socket], [], [], 0)[0]:
            return None
        return self.next_frame()

    def ready(self):
        got = self.next()
        assert got is not None and got.type == frames.READY, (got, self.output_text())
        return json.loads(got.payload)

    def load_failed(self):
        got = self.next()
        assert got is not None and got.type == frames.LOAD_FAILED, got
        assert self.next() is None
        assert self.exit_code() == 1
        return json.loads(got.payload)

    def outcome(self):
        """The next RESPONSE with all of its body, or FAILED; `logs` are those that came before it."""
        before = len(self.logs)
        got = self.next()
        assert got is not None, f"the worker ended: {self.output_text()}"
        logs = self.logs[before:]
        if got.type == frames.FAILED:
            failure = frames.read_failed(got.payload)
            failure.logs = logs
            return failure
        assert got.type == frames.RESPONSE, got
        response = frames.read_response(got.payload)
        response.logs = logs
        more = got.more
        while more:
            part = self.next()
            assert part.type == frames.RESPONSE_BODY and part.call == got.call, part
            response.body += part.payload
            more = part.more
        return response

    def call(self, call=1, **parts):
        self.request(call, **parts)
        return self.outcome()

    def exit_code(self):
        return self.process.wait(max(0.1, self.deadline - time.monotonic()))

    def output_text(self):
        """All that was written to the output pipe; waits until the worker has ended."""
        text = b""
        while True:
            self._wait(self.output)
            got = os.read(self.output, 65536)
            if not got:
                return text.decode()
            text += got

    def shut_down(self):
        self.send(frames.frame(frames.SHUTDOWN))
        return self.exit_code()

    def close(self):
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.output)
        self.claims.close()
