"""The template `http`: servers that nobody wrote for Sterna, and what happens when one does not work."""

import json
import shutil
import subprocess
import threading

import pytest

from polling import eventually
from sterna import problem_of

FLASK = """
from flask import Flask, Response, request

app = Flask(__name__)


@app.route("/hello/<name>", methods=["GET", "POST"])
def hello(name):
    return {"hello": name, "query": request.args.to_dict(), "body": request.get_data(as_text=True)}


@app.route("/stream")
def stream():
    return Response((f"data: {n}\\n\\n" for n in range(3)), mimetype="text/event-stream")


@app.route("/broken")
def broken():
    raise RuntimeError("on purpose")
"""

NODE = """
const http = require("http");
http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    console.log("asked for", request.url);
    response.setHeader("X-Method", request.method);
    response.end(Buffer.concat(chunks));
  });
}).listen(%s);
"""

PHP = """<?php
header("Content-Type: application/json");
echo json_encode(["path" => parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH), "name" => $_GET["name"] ?? null,
                  "body" => file_get_contents("php://input")]);
"""

# Speaks as its first argument says, on a Unix socket.
ODD = """
import os, socket, sys

server = socket.socket(socket.AF_UNIX)
server.bind(os.environ["STERNA_SOCKET"])
server.listen()
while True:
    client, _ = server.accept()
    client.recv(65536)
    client.sendall(os.environ["SAYS"].encode("latin-1").decode("unicode_escape").encode("latin-1"))
    client.close()
"""


def deploy(server, name, files, command, **fields):
    fields["limits"] = {"memory_mb": 512, "network": "none", **fields.get("limits", {})}
    return server.deploy(name, files, template="http", command=command, **fields)


def call_together(server, name, count, path="", **options):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(server.call(name, path, **options)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def check_flask(server, name):
    answer = server.call(name, "/hello/w%20x?a=1", method="POST", content=b"text")
    assert answer.json() == {"hello": "w x", "query": {"a": "1"}, "body": "text"}
    assert server.call(name, "/stream").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    broken = server.call(name, "/broken")
    assert (broken.status_code, broken.headers["content-type"]) == (
        500,
        "text/html; charset=utf-8",
    )  # Flask's own
    assert server.call(name, "/nothing").status_code == 404
    answers = call_together(server, name, 20, "/hello/many")
    assert [answer.json()["hello"] for answer in answers] == ["many"] * 20


def test_flasks_own_server(server):
    command = ["python3", "-m", "flask", "--app", "app", "run", "--port", "$PORT"]
    deploy(server, "flask", {"app.py": FLASK}, command)
    check_flask(server, "flask")
    eventually(lambda: [line for line in server.logs("flask") if "RuntimeError: on purpose" in line["text"]])


@pytest.mark.parametrize("bind", ["0.0.0.0:$PORT", "[::1]:$PORT", "unix:$STERNA_SOCKET"])
def test_flask_under_gunicorn(server, bind):
    command = ["gunicorn", "--bind", bind, "--worker-tmp-dir", "/tmp", "--threads", "4", "app:app"]
    deploy(server, "gunicorn", {"app.py": FLASK}, command)
    check_flask(server, "gunicorn")
    server.request("DELETE", "/spaces/default/functions/gunicorn")


def test_node(server):
    deploy(server, "node", {"server.js": NODE % "process.env.PORT"}, ["node", "server.js"])
    body = bytes(range(256)) * 1000
    answer = server.call("node", "/x/y?z", method="PATCH", content=body)
    assert (answer.content, answer.headers["x-method"]) == (body, "PATCH")
    call_id = answer.headers["x-call-id"]
    eventually(lambda: "asked for /x/y?z" in [line["text"] for line in server.logs("node", call_id=call_id)])
    for number in range(300):
        assert server.call("node", f"/{number}", method="POST", content=b"x").content == b"x"


PHP_EXTENSIONS = "<?php echo json_encode(get_loaded_extensions());"


@pytest.mark.skipif(not shutil.which("php"), reason="php is not installed")
def test_php_has_the_extensions_that_it_has_on_the_machine(server):
    here = subprocess.run(["php", "-r", PHP_EXTENSIONS[6:]], capture_output=True, text=True, check=True).stdout
    deploy(server, "php-extensions", {"index.php": PHP_EXTENSIONS}, ["php", "-S", "127.0.0.1:$PORT", "index.php"])
    assert set(json.loads(here)) <= set(server.call("php-extensions").json())


JAVA = """
import com.sun.net.httpserver.*;
import java.net.*;
public class Server {
  public static void main(String[] arguments) throws Exception {
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
    server.createContext("/", exchange -> {
      byte[] body = ("java " + exchange.getRequestURI()).getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
"""


@pytest.mark.skipif(not shutil.which("java"), reason="java is not installed")
def test_javas_own_server_reads_how_java_is_set_up(server):
    limits = {"memory_mb": 512, "max_pids": 128}
    command = ["java", "-Xmx64m", "Server.java"]
    deploy(server, "java", {"Server.java": JAVA}, command, limits=limits)
    answer = server.call("java", "/a")
    assert answer.status_code == 200, (answer.text, server.logs("java"))
    assert answer.text == "java /a"


@pytest.mark.skipif(not shutil.which("php"), reason="php is not installed")
def test_phps_own_server(server):
    deploy(server, "php", {"index.php": PHP}, ["php", "-S", "127.0.0.1:$PORT", "index.php"])
    answer = server.call("php", "/a/b?name=v", method="POST", content=b"posted")
    assert answer.json() == {"path": "/a/b", "name": "v", "body": "posted"}
    assert len(call_together(server, "php", 10)) == 10


def test_with_egress_too(server):
    deploy(
        server,
        "out",
        {"server.js": NODE % "process.env.PORT"},
        ["node", "server.js"],
        limits={"network": "egress"},
    )
    assert server.call("out", method="PUT", content=b"x").content == b"x"


@pytest.mark.parametrize(
    "says, status, text",
    [
        (r"HTTP/1.0 201 Created\r\nX: y\r\n\r\nuntil the end", 201, "until the end"),
        (
            r"HTTP/1.1 103 Early Hints\r\nLink: z\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            200,
            "hi",
        ),
        (r"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    ],
)
def test_odd_but_right_answers(server, says, status, text):
    name = f"odd-{status}"
    deploy(server, name, {"odd.py": ODD}, ["python3", "odd.py"], env={"SAYS": says})
    answer = server.call(name)
    assert (answer.status_code, answer.text) == (status, text)


@pytest.mark.parametrize(
    "name, says, told",
    [
        ("ssh", r"SSH-2.0-OpenSSH\r\n", "does not answer in HTTP/1.1"),
        ("mute", "", "closed the connection without an answer"),
        (
            "two",
            r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "does not answer in HTTP/1.1",
        ),
        ("upgrade", r"HTTP/1.1 101 Switching Protocols\r\n\r\n", "switches protocols"),
        ("high", r"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "status beyond 599"),
        ("huge", r"HTTP/1.1 200 OK\r\nX: " + "x" * 70000 + r"\r\n\r\n", "header"),
    ],
)
def test_wrong_answers_are_told(server, name, says, told):
    deploy(server, name, {"odd.py": ODD.replace('os.environ["SAYS"]', repr(says))}, ["python3", "odd.py"])
    answer = server.call(name)
    problem_of(answer, 502, "bad_function_response", "function")
    call_id = answer.headers["x-call-id"]
    eventually(lambda: [line for line in server.logs(name, call_id=call_id) if told in line["text"]])


def reason_of(server, name, files, command):
    limits = {"network": "none", "memory_mb": 256}
    server.deploy(name, files, wait_for="Failed", template="http", command=command, limits=limits)
    return server.get(name)["status_reason"]


def test_a_server_that_ends_is_told_with_its_last_line(server):
    reason = reason_of(server, "ends", {}, ["python3", "-c", "import nothing_of_that_name"])
    assert "python3 exited with status 1 before it listened on the port in the variable PORT (8080)" in reason
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in reason


# Listens, then loads: as its one process, or in a child as gunicorn does, where loading takes longer than a trial.
LOADS_LATE = """
import http.server, os, sys, time

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.BaseHTTPRequestHandler)
child = os.fork() if sys.argv[1] == "prefork" else 0
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
time.sleep(2 if sys.argv[1] == "prefork" else 0.3)
import nothing_of_that_name
"""
GOOD = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"good")

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("kind", ["single", "prefork"])
def test_a_new_version_whose_server_ends_after_it_has_listened_takes_nothing_over(server, kind):
    name = f"late-{kind}"
    command = ["python3", "server.py", kind]
    deploy(server, name, {"server.py": GOOD}, command)
    deploy(server, name, {"server.py": LOADS_LATE}, command, wait_for=None)
    reason = eventually(lambda: server.get(name)["status_reason"], 30)
    assert "python3 exited with status 1 soon after it had begun to listen: " in reason
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in reason
    assert server.call(name).text == "good"


def test_gunicorn_that_cannot_load_its_program_is_told(server):
    command = ["gunicorn", "--bind", "0.0.0.0:$PORT", "--worker-tmp-dir", "/tmp", "app:app"]
    reason = reason_of(server, "gunicorn-broken", {"app.py": "import nothing_of_that_name\n"}, command)
    assert "gunicorn exited with status 3 soon after it had begun to listen: " in reason
    assert "/function/app.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'" in reason


def test_a_server_that_is_stopped_is_asked_to_end(server):
    script = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("good bye", flush=True), sys.exit(0)))
http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
    deploy(server, "polite", {"server.py": script}, ["python3", "server.py"])
    assert server.call("polite").status_code == 200
    assert server.request("POST", "/spaces/default/functions/polite/stop").status_code == 200
    eventually(lambda: "good bye" in [line["text"] for line in server.logs("polite")])
