"""A receiver as a process of its own, to be killed: notes each callback in a file before it answers.

    python3 receiver_process.py PORT FILE
"""

import base64
import http.server
import json
import socketserver
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = json.dumps({"id": self.headers["X-Call-Id"], "body": base64.b64encode(body).decode()})
        self.server.notes.write(line.encode() + b"\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server, open(sys.argv[2], "ab", buffering=0) as server.notes:
    server.serve_forever()
