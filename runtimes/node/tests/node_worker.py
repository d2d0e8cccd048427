"""A real Node worker, driven over its socket as the Python ones are."""

import os
import subprocess

from worker import Worker

RUNTIME = os.environ.get("STERNA_NODE_RUNTIME") or os.path.join(
    os.path.dirname(__file__), "../../../build/runtimes/node"
)
NODE = os.environ.get("STERNA_NODE", "node")


class NodeWorker(Worker):
    def __init__(self, bundle, handler="handler.js", **init):
        super().__init__(bundle, handler=handler, **init)

    def spawn(self, socket_fd, claim_fd, output_fd):
        return subprocess.Popen(
            [NODE, f"{RUNTIME}/shim/main.js", "serve", str(socket_fd), str(claim_fd)],
            pass_fds=(socket_fd, claim_fd),
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            env={"SECRET_OF_SERVER": "x", "PATH": os.environ["PATH"]},
            cwd="/",
        )
