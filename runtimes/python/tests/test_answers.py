"""What a handler may return, and what happens with everything else."""

import json

import frames
import pytest


def answer(start, expression, before="", call=1):
    return start(f"{before}\ndef handle(req):\n    return {expression}\n").call(call)


GOOD = [
    ("{}", 200, b"", None),
    ("{'body': None}", 200, b"", None),
    ("{'status_code': 204}", 204, b"", None),
    ("{'statusCode': 404, 'body': 'no'}", 404, b"no", "text/plain; charset=utf-8"),
    ("{'status_code': 201, 'statusCode': 404}", 201, b"", None),
    ("{'status_code': http.HTTPStatus.CREATED}", 201, b"", None),
    ("{'status_code': 599, 'body': b'x'}", 599, b"x", "application/octet-stream"),
    ("{'body': 'h\\u00e9'}", 200, b"h\xc3\xa9", "text/plain; charset=utf-8"),
    ("{'body': b'\\x00\\xff'}", 200, b"\x00\xff", "application/octet-stream"),
    ("{'body': bytearray(b'ab')}", 200, b"ab", "application/octet-stream"),
    ("{'body': memoryview(b'abcd')[::2]}", 200, b"ac", "application/octet-stream"),
    (
        "{'body': {'a': [1, None, 'h\\u00e9']}}",
        200,
        b'{"a":[1,null,"h\xc3\xa9"]}',
        "application/json",
    ),
    ("{'body': [1, 2]}", 200, b"[1,2]", "application/json"),
    ("{'body': (1, 2)}", 200, b"[1,2]", "application/json"),
    ("{'body': 1.5}", 200, b"1.5", "application/json"),
    ("{'body': True}", 200, b"true", "application/json"),
    ("{'body': 0}", 200, b"0", "application/json"),
    ("collections.OrderedDict(body='x')", 200, b"x", "text/plain; charset=utf-8"),
    ("{'body': 'x', 'extra': 1}", 200, b"x", "text/plain; charset=utf-8"),
]


@pytest.fixture(scope="module")
def expressions(tmp_path_factory):
    """One worker that evaluates the body of each request."""
    from worker import Worker

    bundle = tmp_path_factory.mktemp("bundle")
    (bundle / "handler.py").write_text(
        "import collections, http, json\nfrom werkzeug.datastructures import Headers, MultiDict\n"
        "def handle(req):\n    return eval(req.body.decode())\n"
    )
    worker = Worker(bundle)
    worker.ready()
    yield worker
    assert worker.shut_down() == 0
    worker.close()


@pytest.fixture
def evaluate(expressions):
    import time

    def run(expression):
        expressions.deadline = time.monotonic() + 20
        return expressions.call(1, body=expression.encode())

    return run


@pytest.mark.parametrize("expression,status,body,content_type", GOOD)
def test_good_answers(evaluate, expression, status, body, content_type):
    outcome = evaluate(expression)
    assert (outcome.status, outcome.body, outcome.content_length) == (status, body, len(body))
    assert outcome.header("content-type") == ([content_type] if content_type else [])


BAD = [
    ("None", "handle returned None: return a dict"),
    ("'text'", "handle returned a value of type str: return a dict"),
    ("('x', 200)", "type tuple"),
    ("{'message': 'hi'}", "the dict has none of the keys status_code, statusCode, body, headers"),
    ("{'status_code': 199}", "status_code is 199: it must be an int from 200 to 599"),
    ("{'statusCode': 600}", "statusCode is 600"),
    ("{'status_code': -10**400}", "status_code is huge"),
    ("{'status_code': '200'}", "status_code is a value of type str"),
    ("{'status_code': True}", "status_code is a value of type bool"),
    ("{'status_code': None}", "status_code is a value of type NoneType"),
    ("{'status_code': 200.0}", "status_code is a value of type float"),
    ("{'body': {1, 2}}", "body is a value of type set and cannot be written as JSON"),
    ("{'body': {'a': object()}}", "type object is not JSON serializable"),
    ("{'body': float('nan')}", "cannot be written as JSON"),
    ("{'body': '\\ud800'}", "lone surrogate"),
    ("{'headers': 'X: y'}", "headers is a value of type str: it must be a dict or a list of pairs"),
    ("{'headers': ['X: y']}", "an entry that is not a pair"),
    ("{'headers': {'X Y': 'v'}}", "header name 'X Y' is not a token"),
    ("{'headers': {'': 'v'}}", "header name '' is not a token"),
    ("{'headers': {'X\\r\\nY': 'v'}}", "header name 'X\\r\\nY' is not a token"),
    ("{'headers': {'X-\\u00e9': 'v'}}", "is not a token"),
    ("{'headers': {1: 'v'}}", "header name 1 is not a token"),
    (
        "{'headers': {'X': 'a\\r\\nSet-Cookie: b'}}",
        "header X has a line break or another control character",
    ),
    ("{'headers': {'X': 'a\\nb'}}", "control character"),
    ("{'headers': {'X': 'a\\0b'}}", "control character"),
    ("{'headers': {'X': '\\u20ac'}}", "header X has a character that is not in Latin-1"),
    ("{'headers': {'X': None}}", "header X is a value of type NoneType"),
    ("{'headers': {'X': True}}", "header X is a value of type bool"),
    ("{'headers': {'X': 'v' * 70000}}", "headers are larger than"),
    ("{'headers': {'X': 10**9999}}", "header X is an int of too many digits"),
    ("{'headers': {10**9999: 'v'}}", "header name a value of type int is not a token"),
    ("{'status_code': 10**9999}", "status_code is"),
]


@pytest.mark.parametrize("expression,text", BAD)
def test_bad_answers_say_what_is_wrong(evaluate, expression, text):
    outcome = evaluate(expression)
    assert outcome.kind == frames.BAD_ANSWER
    assert text in outcome.text
    assert any(
        "bad answer" in logged and call == 1 and stream == 2
        for call, stream, logged in outcome.logs
    )


HEADERS = [
    ("{'X-A': '1', 'X-B': '2'}", [("X-A", "1"), ("X-B", "2")]),
    ("{'X-A': ['1', '2'], 'X-N': 5}", [("X-A", "1"), ("X-A", "2"), ("X-N", "5")]),
    ("[('X-A', '1'), ['X-B', 2], ('X-A', '3')]", [("X-A", "1"), ("X-B", "2"), ("X-A", "3")]),
    ("Headers([('X-A', '1'), ('X-A', '2')])", [("X-A", "1"), ("X-A", "2")]),
    ("MultiDict([('X-A', '1'), ('X-B', '3'), ('X-A', '2')])", [("X-A", "1"), ("X-A", "2"), ("X-B", "3")]),
    ("{'X-A': 'caf\\u00e9', 'X-B': ' trimmed\\t'}", [("X-A", "café"), ("X-B", "trimmed")]),
    ("{'X-A': ''}", [("X-A", "")]),
    ("{'Content-Length': '999', 'X-A': '1'}", [("X-A", "1")]),
    ("[('content-length', 999)]", []),
    ("None", []),
]


@pytest.mark.parametrize("expression,headers", HEADERS)
def test_header_forms(evaluate, expression, headers):
    assert evaluate(f"{{'headers': {expression}}}").headers == headers


@pytest.mark.parametrize(
    "form", ["{'content-TYPE': 'text/html'}", "[('content-TYPE', 'text/html')]"]
)
@pytest.mark.parametrize("body", ["'x'", "b'x'", "{}"])
def test_own_content_type_wins(evaluate, form, body):
    assert evaluate(f"{{'headers': {form}, 'body': {body}}}").header("content-type") == [
        "text/html"
    ]


def test_coroutine_from_a_sync_handler(start):
    outcome = answer(start, "f()", "async def f(): return {}")
    assert outcome.kind == frames.BAD_ANSWER and "async def handle" in outcome.text
    assert not any("never awaited" in text for _, _, text in outcome.logs)


def test_run_time_is_told(start):
    outcome = answer(start, "time.sleep(0.02) or {}", "import time")
    assert 20_000_000 <= outcome.run_ns < 2_000_000_000


def test_exception_is_told_in_one_line_and_its_traceback_is_logged(start):
    worker = start(
        """
        def inner():
            raise ValueError("no\\nsecond line")

        def handle(req):
            inner()
    """
    )
    outcome = worker.call(7)
    assert (outcome.kind, outcome.text) == (frames.RAISED, "ValueError: no")
    ((call, stream, text),) = outcome.logs
    assert (call, stream) == (7, 2)
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in inner" in text and "in handle" in text and "sterna_worker" not in text


def test_the_traceback_needs_no_help_of_what_the_function_may_break(start):
    worker = start(
        """
        import traceback

        def handle(req):
            traceback.format_exception = None
            raise ValueError("no")
    """
    )
    ((_, _, text),) = worker.call().logs
    head, place, line = text.splitlines()
    assert head == "Traceback (most recent call last):" and line == "ValueError: no"
    assert place.endswith('handler.py", line 6, in handle')


@pytest.mark.parametrize(
    "statement,text",
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return undefined", "NameError: name 'undefined' is not defined"),
        ("class Bad(Exception):\n        def __str__(self): return 1 / 0\n    raise Bad", "Bad: <"),
    ],
)
@pytest.mark.parametrize("prefix,concurrency", [("", 1), ("", 2), ("async ", 4)])
def test_whatever_is_raised_ends_the_call_only(start, statement, text, prefix, concurrency):
    worker = start(
        f"{prefix}def handle(req):\n    if req.path == '/ok': return {{'body': 'ok'}}\n    {statement}\n",
        concurrency=concurrency,
    )
    outcome = worker.call()
    assert outcome.kind == frames.RAISED and text in outcome.text
    assert all("sterna_worker" not in logged for _, _, logged in outcome.logs)
    assert worker.call(2, path=b"/ok").body == b"ok"
