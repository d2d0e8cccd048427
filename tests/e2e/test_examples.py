"""The examples, deployed as `sterna deploy` sends them, do what their first lines promise."""

import base64
import hashlib
import hmac
import json
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import png_samples
from polling import eventually
from sterna import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/function.toml"))


def deploy_example(server, folder, **changes):
    fields = tomllib.loads((folder / "function.toml").read_text())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.[pj]*")}
    for key, value in changes.items():
        fields[key] = {**fields.get(key, {}), **value}
    name = fields.pop("name")
    server.deploy(name, files, **fields)


@pytest.fixture(scope="module", autouse=True)
def examples(server):
    for folder in EXAMPLES:
        deploy_example(server, folder)


@pytest.mark.sanitizer
def test_the_folders_name_the_functions(server):
    assert len(EXAMPLES) >= 6
    for folder in EXAMPLES:
        assert server.get(folder.name)["status"] == "Running"
        assert server.get(folder.name)["description"]
        text = next(folder.glob("handler.*")).read_text()
        assert "curl" in (text.split('"""')[1] if text.startswith('"""') else text.split('"use strict"')[0])


# hello, echo


@pytest.mark.sanitizer
def test_hello(server):
    answer = server.call("hello", "/stock/market/today?company=Google")
    assert answer.json() == {
        "message": "Hello, world!",
        "path": "/stock/market/today",
        "query": {"company": "Google"},
    }
    assert server.call("hello", "?name=Ada&x=1&x=2").json()["message"] == "Hello, Ada!"
    assert server.call("hello", "?x=1&x=2").json()["query"] == {"x": ["1", "2"]}


def test_echo(server):
    answer = server.call(
        "echo", "/a/b?x=1&x=2", method="PUT", content="text é".encode(), headers={"X-Mine": "1"}
    ).json()
    assert answer["method"] == "PUT" and answer["path"] == "/a/b" and answer["body"] == "text é"
    assert answer["query"] == [["x", "1"], ["x", "2"]]
    assert ["x-mine", "1"] in [[name.lower(), value] for name, value in answer["headers"]]
    assert (
        base64.b64decode(server.call("echo", method="POST", content=b"\xff\x00").json()["body_base64"])
        == b"\xff\x00"
    )


# form-check


def test_form_check(server):
    form = {"name": "Ada", "email": "ada@example.com", "message": "Hello"}
    answer = server.call("form-check", method="POST", data=form)
    assert answer.status_code == 201 and len(answer.json()["id"]) == 36
    assert server.call("form-check", method="POST", json=form).status_code == 201
    answer = server.call("form-check", method="POST", data={"email": "x", "message": "m" * 2001})
    assert answer.status_code == 422
    assert answer.json()["errors"] == {
        "name": "is missing", "email": "is not an address", "message": "is longer than 2000 characters",
    }  # fmt: skip
    assert server.call("form-check").headers["allow"] == "POST"


# thumbnail


def thumbnail(server, png, query=""):
    return server.call("thumbnail", query, method="POST", content=png)


def scaled(server, png, query):
    answer = thumbnail(server, png, query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return png_samples.read(answer.content)


@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (0, 1, 2, 3, 4)])
def test_a_thumbnail_is_the_mean_of_what_it_covers(server, kinds):
    png = png_samples.rgb_image(60, 40, lambda x, y: (x * 4, y * 6, (x * y) % 256), kinds)
    width, height, colour, rows = scaled(server, png, "?width=6")
    assert (width, height, colour) == (6, 4, 2)
    for y in range(4):
        for x in range(6):
            box = [(10 * x + i, 10 * y + j) for i in range(10) for j in range(10)]
            expected = [
                sum(values) // 100 for values in zip(*((a * 4, b * 6, (a * b) % 256) for a, b in box))
            ]
            assert list(rows[y][3 * x : 3 * x + 3]) == expected


def test_thumbnails_of_other_kinds_of_png(server):
    bits = png_samples.assemble(16, 16, 1, 0, [b"\0\xff\x00"] * 16)
    assert scaled(server, bits, "?width=2") == (2, 2, 0, [b"\xff\x00"] * 2)
    deep = png_samples.assemble(4, 4, 16, 0, [b"\0" + b"\x80\x12" * 4] * 4)
    assert scaled(server, deep, "?width=2") == (2, 2, 0, [b"\x80\x80"] * 2)
    palette = png_samples.chunk(b"PLTE", b"\xff\x00\x00\x00\x00\xff") + png_samples.chunk(b"tRNS", b"\x80")
    indexed = png_samples.assemble(4, 4, 8, 3, [b"\0\0\0\1\1"] * 4, palette)
    assert scaled(server, indexed, "?width=2") == (2, 2, 6, [b"\xff\x00\x00\x80\x00\x00\xff\xff"] * 2)
    # A red pixel beside an invisible green one stays red.
    alpha = png_samples.assemble(2, 1, 8, 6, [b"\0\xff\x00\x00\xff\x00\xff\x00\x00"])
    assert scaled(server, alpha, "?width=1") == (1, 1, 6, [b"\xff\x00\x00\x7f"])


def test_a_small_image_stays_as_it_is(server):
    png = png_samples.rgb_image(10, 10, lambda x, y: (x, y, 0))
    assert thumbnail(server, png).content == png


def test_a_large_image_is_scaled_within_its_limits(server):
    rows = [bytes([0]) + bytes(range(256)) * 12] * 1000
    assert scaled(server, png_samples.assemble(1024, 1000, 8, 2, rows), "")[:2] == (128, 125)


@pytest.mark.parametrize(
    "png, status",
    [
        (b"", 415),
        (b"GIF89a", 415),
        (b"\xff\xd8\xff\xe0JFIF", 415),
        (png_samples.SIGNATURE, 400),
        (png_samples.SIGNATURE + b"\xff" * 40, 400),
        (png_samples.rgb_image(200, 200, lambda x, y: (x, y, 0))[:-30], 400),
        (png_samples.assemble(200, 200, 8, 2, [bytes(601)] * 10), 400),
        (png_samples.assemble(200, 200, 8, 2, [b"\x09" + bytes(600)] * 200), 400),
        (png_samples.assemble(200, 200, 8, 3, [bytes(201)] * 200), 400),
        (png_samples.assemble(200, 200, 8, 2, [bytes(601)] * 200, interlace=1), 415),
        (png_samples.assemble(200, 200, 7, 2, []), 400),
        (png_samples.assemble(100_000, 100_000, 8, 2, []), 413),
    ],
)
def test_what_is_no_usable_png_is_refused_clearly(server, png, status):
    answer = thumbnail(server, png)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize("width", ["0", "-1", "x", "1025", "1.5"])
def test_widths_that_make_no_sense(server, width):
    assert thumbnail(server, b"", f"?width={width}").status_code == 400


# webhook-verify

SECRET = "whsec_c3Rlcm5hLWV4YW1wbGUtc2VjcmV0LWNoYW5nZS1tZQ=="


def standard_headers(body, timestamp=None, secret=SECRET, message_id="msg_1"):
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def verify(server, body, headers):
    return server.call("webhook-verify", method="POST", content=body, headers=headers)


@pytest.mark.sanitizer
def test_a_signed_webhook_is_taken(server):
    body = b'{"event": "paid"}'
    answer = verify(server, body, standard_headers(body))
    assert answer.status_code == 200 and answer.json() == {"verified": True, "bytes": len(body)}


def test_one_of_several_signatures_is_enough(server):
    headers = standard_headers(b"x")
    headers["webhook-signature"] = "v1,bm90IHRoaXMgb25l v1a,other " + headers["webhook-signature"]
    assert verify(server, b"x", headers).status_code == 200


def test_webhooks_that_prove_nothing_are_refused(server):
    now = int(time.time())
    good = standard_headers(b"x")
    assert verify(server, b"y", good).status_code == 401
    assert verify(server, b"x", {**good, "webhook-id": "msg_2"}).status_code == 401
    assert verify(server, b"x", {**good, "webhook-timestamp": str(now + 1)}).status_code == 401
    assert verify(server, b"x", standard_headers(b"x", secret="whsec_b3RoZXI=")).status_code == 401
    for age in (-301, 310):
        assert verify(server, b"x", standard_headers(b"x", timestamp=str(now + age))).status_code == 401
    assert verify(server, b"x", {"webhook-signature": "v1,x"}).status_code == 400
    assert verify(server, b"x", standard_headers(b"x", timestamp="soon")).status_code == 400
    assert verify(server, b"x", {}).status_code == 400


def test_githubs_signature(server):
    good = "sha256=" + hmac.new(SECRET.encode(), b"push", hashlib.sha256).hexdigest()
    assert verify(server, b"push", {"X-Hub-Signature-256": good}).status_code == 200
    assert verify(server, b"pull", {"X-Hub-Signature-256": good}).status_code == 401
    assert verify(server, b"push", {"X-Hub-Signature-256": "sha256="}).status_code == 401


# sse-clock


@pytest.mark.sanitizer
def test_the_clock_ticks_as_server_sent_events(server):
    began = time.monotonic()
    with server.client.stream(
        "GET", "/spaces/default/functions/sse-clock/invoke?count=4&interval=0.3"
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        arrivals, text = [], ""
        for part in filter(None, answer.iter_text()):
            text += part
            arrivals.append(time.monotonic() - began)
    events = [
        dict(line.split(": ", 1) for line in event.splitlines()) for event in text.strip().split("\n\n")
    ]
    assert [event["id"] for event in events] == ["1", "2", "3", "4"]
    assert all(event["event"] == "tick" and "time" in json.loads(event["data"]) for event in events)
    assert arrivals[0] < arrivals[-1] - 0.7


def test_the_clock_goes_on_where_a_client_left_it(server):
    answer = server.call("sse-clock", "?count=3&interval=0.01", headers={"Last-Event-ID": "2"})
    assert answer.text.startswith("id: 3\n") and answer.text.count("event: tick") == 1


@pytest.mark.parametrize("query", ["count=x", "count=601", "interval=0", "interval=nan", "interval=61"])
def test_the_clock_refuses_nonsense(server, query):
    assert server.call("sse-clock", "?" + query).status_code == 400


# fan-out


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
        elif self.path == "/never":
            self.server.let_go.wait(30)
        else:
            self.server.barrier.wait(10)  # all five are here at the same time, or none gets through
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"12345")

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.barrier, server.let_go = threading.Barrier(5), threading.Event()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server
    server.let_go.set()
    server.shutdown()
    serving.join()
    server.server_close()


def test_fan_out_fetches_at_the_same_time_within_a_deadline(start_server, web):
    server = start_server("--allow-network-host")
    deploy_example(server, ROOT / "examples" / "fan-out", limits={"network": "host"})
    url = f"http://127.0.0.1:{web.server_port}"
    urls = [f"{url}/{n}" for n in range(5)] + [
        f"{url}/missing",
        f"{url}/never",
        "http://127.0.0.1:1/",
        "http://no-such.invalid/",
    ]
    answer = server.call("fan-out", method="POST", json={"urls": urls, "timeout_seconds": 2})
    assert answer.status_code == 200, answer.text
    summary = answer.json()
    assert summary["ok"] == 5 and summary["failed"] == 4 and summary["seconds"] < 8
    results = summary["results"]
    assert [result["url"] for result in results] == urls
    assert all(result["status"] == 200 and result["bytes"] == 5 for result in results[:5])
    assert results[5]["status"] == 404
    assert "2 s" in results[6]["error"]
    assert "refused" in results[7]["error"].lower()


def test_fan_out_cannot_reach_the_hosts_loopback(server, web):
    url = f"http://127.0.0.1:{web.server_port}/missing"
    summary = server.call("fan-out", method="POST", json={"urls": [url], "timeout_seconds": 2}).json()
    assert summary["failed"] == 1 and "status" not in summary["results"][0]


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"urls": []}', '{"urls": ["file:///etc/passwd"]}', '{"urls": [7]}']
)
def test_fan_out_refuses_nonsense(server, body):
    assert server.call("fan-out", method="POST", content=body).status_code == 400


# csv-to-json


def convert(server, text, query="", **headers):
    return server.call("csv-to-json", query, method="POST", content=text.encode(), headers=headers)


@pytest.mark.sanitizer
def test_csv_becomes_json(server):
    assert convert(server, 'name,note\nAda,"says ""hi"", twice\nor more"\n').json() == [
        {"name": "Ada", "note": 'says "hi", twice\nor more'}
    ]
    assert convert(server, "\ufeffa;b\r\n1;ü\r\n").json() == [{"a": "1", "b": "ü"}]
    assert convert(server, "a|b\n1|2\n", "?delimiter=|&numbers=true").json() == [{"a": 1, "b": 2}]
    assert convert(server, "a\tb\n1.5\tnan\n", "?numbers=true").json() == [{"a": 1.5, "b": "nan"}]


def test_csv_as_ndjson(server):
    answer = convert(server, "a\n1\n2\n", Accept="application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize(
    "text, query, status, words",
    [
        ("a,b\n1\n", "", 422, "line 2"),
        ("a,b\n1,2\n1,2,3\n", "", 422, "line 3"),
        ("", "", 422, "line 1"),
        ("a,a\n1,2\n", "", 422, "twice"),
        ("a\n1\n", "?delimiter=ab", 400, "delimiter"),
    ],
)
def test_csv_that_does_not_fit_names_the_line(server, text, query, status, words):
    answer = convert(server, text, query)
    assert answer.status_code == status and words in answer.json()["error"]


def test_csv_in_another_encoding(server):
    assert server.call("csv-to-json", method="POST", content="a\nü\n".encode("latin-1")).status_code == 415


# iot-decode


def decoded(server, payload):
    answer = server.call(
        "iot-decode", method="POST", content=payload, headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 200, answer.text
    return {(each["channel"], each["type"]): each["value"] for each in answer.json()["measurements"]}


@pytest.mark.sanitizer
def test_cayenne_payloads(server):
    # The first three are the examples of the format's own documentation.
    assert decoded(server, bytes.fromhex("03670110056700FF")) == {
        (3, "temperature"): 27.2,
        (5, "temperature"): 25.5,
    }
    assert decoded(server, bytes.fromhex("0167FFD7067104D2FB2E0000")) == {
        (1, "temperature"): -4.1,
        (6, "accelerometer"): {"x": 1.234, "y": -1.234, "z": 0},
    }
    assert decoded(server, bytes.fromhex("018806765FF2960A0003E8")) == {
        (1, "location"): {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10}
    }
    assert decoded(server, b"") == {}


def test_payloads_as_network_servers_send_them(server):
    data = base64.b64encode(bytes.fromhex("0167011002682E")).decode()
    wanted = [
        {"channel": 1, "type": "temperature", "value": 27.2},
        {"channel": 2, "type": "humidity", "value": 23},
    ]
    for message in ({"data": data}, {"uplink_message": {"frm_payload": data}}):
        assert server.call("iot-decode", method="POST", json=message).json()["measurements"] == wanted


@pytest.mark.parametrize("payload", ["01", "0167", "016701", "01FE00"])
def test_payloads_that_cannot_be_decoded(server, payload):
    answer = server.call(
        "iot-decode", method="POST", json={"data": base64.b64encode(bytes.fromhex(payload)).decode()}
    )
    assert answer.status_code == 422 and "byte" in answer.json()["error"]
    eventually(lambda: any("undecodable" in each["text"] for each in server.logs("iot-decode")))


def test_messages_without_a_payload(server):
    for body in ("", "{}", '{"data": "%%%"}', '{"data": 7}'):
        assert server.call("iot-decode", method="POST", content=body).status_code == 422
