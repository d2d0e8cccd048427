"""{{name}}: an HTTP server of your own as a function for Sterna.

Deploy it, call it, read what it logged:

    sterna deploy {{name}}
    sterna invoke {{name}} -p '/some/path?who=you'
    sterna logs {{name}}

Any server in any language can take the place of this file: `command` in function.toml starts it. It has to listen
on the port in the variable PORT; requests come as they are, with the path that follows /invoke.
"""

import json
import os
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection for the next request

    def answer(self):
        received = self.rfile.read(int(self.headers["Content-Length"] or 0))  # all of it: the next request follows
        print(f"{self.command} {self.path}: {len(received)} bytes", flush=True)
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        body = json.dumps({"hello": query.get("who", ["world"])[0], "path": url.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass  # answer() has said it


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
