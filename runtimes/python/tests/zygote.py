"""A real zygote, driven over its control socket, and workers in its sandboxes."""

import array
import json
import mmap
import os
import select
import socket
import subprocess
import tempfile
import time

import frames
import worker as workers

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import sterna_worker.__main__"


class Zygote:
    def __init__(self, root_dir, python=workers.PYTHON):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [
            python,
            "-I",
            "-B",
            "-c",
            START,
            workers.RUNTIME,
            "zygote",
            "--control-fd",
            str(theirs.fileno()),
        ]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stderr=self.errors,
            env={"PATH": "/usr/bin:/bin", **workers.sanitizer_environment()},
        )
        theirs.close()
        self.reports = []
        cgroups = {"version": "none", "memory": "", "cpu": "", "pids": ""}
        self.send({"op": "configure", "root_dir": str(root_dir), "cgroups": cgroups, "isolated": True})

    def send(self, message, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([json.dumps(message).encode()], rights)

    def report(self, op, worker=None, seconds=30):
        """The first report of that kind about the worker, among those that came."""
        deadline = time.monotonic() + seconds
        while True:
            for at, report in enumerate(self.reports):
                if report["op"] == op and report.get("worker") == worker:
                    return self.reports.pop(at)
            assert select.select([self.control], [], [], max(0, deadline - time.monotonic()))[0], (
                op,
                worker,
                self.reports,
            )
            data, fds, _, _ = socket.recv_fds(self.control, 65536, 4)
            assert data, "the zygote is gone"
            for fd in fds:
                os.close(fd)
            self.reports.append(json.loads(data))

    def start(self, name, bundle, **limits):
        return SandboxedWorker(self, name, bundle, limits)

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def close(self):
        self.control.close()
        self.process.wait(30)


class SandboxedWorker(workers.Worker):
    def __init__(self, zygote, name, bundle, limits):
        self.name = name
        self.zygote = zygote
        self.socket, theirs = socket.socketpair()
        claim_fd = os.memfd_create("claims")
        os.ftruncate(claim_fd, 4096)
        self.claims = mmap.mmap(claim_fd, 4096)
        self.output, output_fd = os.pipe()
        plan = {
            "bundle_dir": str(bundle),
            "host_uid": 200017,
            "host_gid": 200017,
            "hostname": "hello",
            **limits,
        }
        self.deadline = time.monotonic() + workers.DEADLINE_SECONDS
        self.data = b""
        self.logs = []
        self.send(frames.init("/function"))
        zygote.send(
            {"op": "start", "worker": name, "plan": plan}, [theirs.fileno(), claim_fd, output_fd]
        )
        theirs.close()
        os.close(claim_fd)
        os.close(output_fd)

    def exit_report(self):
        return self.zygote.report("exited", self.name)

    def close(self):
        self.socket.close()
        os.close(self.output)
        self.claims.close()
