"""The functions that are measured: the same echo in each template, by the name of its row in the table."""

import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping

from .peers import SOURCES

HEADERS = SOURCES.parent.parent / "runtimes/native/include"

ECHO = b"""def handle(req):
    return {"body": req.body, "headers": {"Content-Type": "application/octet-stream"}}
"""
NODE_ECHO = b"""exports.handle = async (req) => ({
  headers: { "Content-Type": "application/octet-stream" }, body: req.body,
});
"""
CPP_ECHO = b"""#include <sterna/function.h>

sterna::Response handle(const sterna::Request& request) {
  return {200, std::string(request.body), {}, {}};
}
"""


@dataclass(frozen=True)
class Function:
    template: str
    files: Callable[[], Mapping[str, bytes]]
    fields: Mapping[str, object] = field(default_factory=dict)  # beside name, template and files


def compiled(source: bytes) -> bytes:
    """The shared library of a C++ handler. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="sterna-bench-cpp-") as folder:
        made = Path(folder) / "handler.so"
        subprocess.run(["clang++-19", "-std=c++20", "-O2", "-fPIC", "-shared", "-I", str(HEADERS), "-o", str(made),
                        "-x", "c++", "-"], input=source, check=True)
        return made.read_bytes()


# A server as users have it, the same program that nginx passes requests to.
HTTP_SERVER = "node_http.mjs"
# Two processes are in its sandbox, one that passes requests on and the server. nginx and its server have both
# processors, too.
HTTP_LIMITS = {"cpus": 2}

FUNCTIONS = {
    "sterna": Function("python3-http", lambda: {"handler.py": ECHO}),
    "sterna-node": Function("node-http", lambda: {"handler.js": NODE_ECHO}),
    "sterna-cpp": Function("cpp", lambda: {"handler.so": compiled(CPP_ECHO)}),
    "sterna-http": Function("http", lambda: {HTTP_SERVER: (SOURCES / HTTP_SERVER).read_bytes()},
                            {"command": ["node", HTTP_SERVER, "$PORT"], "limits": HTTP_LIMITS}),
}

# The row "sterna" once more, on a server that checks tokens.
GUARDED = "sterna+token"
# And on one whose functions have no sandbox.
UNWALLED = "sterna+no-sandbox"
