"""The same program inside every template: `run(server, name, "attacks", input)` starts it as a child of the template's worker."""

import json
import pathlib
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).parent
PROGRAMS = {name: (HERE / name).read_text() for name in ("attacks.py", "bombs.py")}

PYTHON = """
import subprocess

def handle(req):
    program, *arguments = req.path.strip("/").split("/")
    done = subprocess.run(["/usr/bin/python3", f"/function/{program}.py", *arguments], input=req.body, stdout=subprocess.PIPE)
    return {"status_code": 200 if done.returncode == 0 else 500, "body": done.stdout}
"""

NODE = """
const { spawnSync } = require("child_process");

exports.handle = (req) => {
  const [program, ...rest] = req.path.slice(1).split("/");
  const done = spawnSync("/usr/bin/python3", [`/function/${program}.py`, ...rest], {
    input: req.body, stdio: ["pipe", "pipe", "inherit"], maxBuffer: 1 << 26,
  });
  return { status_code: done.status === 0 ? 200 : 500, body: done.stdout };
};
"""

CPP = r"""
#include <sterna/function.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

sterna::Response handle(const sterna::Request& request) {
  std::ofstream("/tmp/input", std::ios::binary) << request.body;
  std::string words(request.path.substr(1));
  std::replace(words.begin(), words.end(), '/', ' ');
  const std::size_t end = std::min(words.find(' '), words.size());
  words.insert(end, ".py");
  FILE* pipe = popen(("exec < /tmp/input; rm /tmp/input; exec /usr/bin/python3 /function/" + words).c_str(), "r");
  std::string out;
  char part[4096];
  while (const std::size_t got = fread(part, 1, sizeof part, pipe)) out.append(part, got);
  pclose(pipe);
  return sterna::text(out);
}
"""

HTTP = """#!/usr/bin/python3
import http.server, os, subprocess

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        program, *arguments = self.path.strip("/").split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(["/usr/bin/python3", f"/function/{program}.py", *arguments], input=body, stdout=subprocess.PIPE)
        self.send_response(200 if done.returncode == 0 else 500)
        self.send_header("Content-Length", str(len(done.stdout)))
        self.end_headers()
        self.wfile.write(done.stdout)

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

LAMBDA = """#!/usr/bin/python3
import base64, http.client, json, os, subprocess

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    got = connection.getresponse()
    event = json.loads(got.read())
    body = event.get("body", "")
    body = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    program, *arguments = event["rawPath"].strip("/").split("/")
    done = subprocess.run(["/usr/bin/python3", f"/function/{program}.py", *arguments], input=body, stdout=subprocess.PIPE)
    answer = {"statusCode": 200 if done.returncode == 0 else 500, "body": base64.b64encode(done.stdout).decode(), "isBase64Encoded": True}
    connection.request("POST", f"/2018-06-01/runtime/invocation/{got.headers['Lambda-Runtime-Aws-Request-Id']}/response", json.dumps(answer))
    connection.getresponse().read()
"""

COMMAND = """#!/bin/sh
set -f
IFS=/
set -- ${PATH_INFO#/}
program=$1
shift
exec /usr/bin/python3 "/function/$program.py" "$@"
"""


@dataclass(frozen=True)
class Template:
    name: str
    files: dict
    limits: dict = field(default_factory=dict)

    def deploy(self, server, name, **limits):
        return server.deploy(
            name, {**PROGRAMS, **self.files}, template=self.name, limits={"network": "none", **self.limits, **limits}
        )


TEMPLATES = [
    Template("python3-http", {"handler.py": PYTHON}),
    Template("node-http", {"handler.js": NODE}),
    Template("cpp", {"handler.cc": CPP}),
    Template("http", {"bootstrap": HTTP}, {"concurrency": 1}),
    Template("command", {"bootstrap": COMMAND}),
    Template("lambda", {"bootstrap": LAMBDA}),
]


def run(server, name, program, given=None):
    return server.call(name, "/" + program, method="POST", content=json.dumps(given or {}).encode())
