"""What a handler may return, and what happens with everything else."""

import gzip
import time

import frames
import pytest
from node_worker import NodeWorker

TEXT, BYTES, JSON = "text/plain; charset=utf-8", "application/octet-stream", "application/json"
FORM = "application/x-www-form-urlencoded;charset=UTF-8"

GOOD = [
    ("({})", 200, b"", None),
    ("({ body: null })", 200, b"", None),
    ("({ status_code: 204 })", 204, b"", None),
    ("({ statusCode: 404, body: 'no' })", 404, b"no", TEXT),
    ("({ status: 201 })", 201, b"", None),
    ("({ status_code: 202, statusCode: 404, status: 500 })", 202, b"", None),
    ("({ body: 'h\\u00e9\\u{1f426}' })", 200, "hé🐦".encode(), TEXT),
    ("({ body: '\\ud800' })", 200, b"\xef\xbf\xbd", TEXT),
    ("({ body: Buffer.from([0, 255]) })", 200, b"\x00\xff", BYTES),
    ("({ body: new Uint8Array([1, 2, 3]).subarray(1) })", 200, b"\x02\x03", BYTES),
    ("({ body: new Uint16Array([1]) })", 200, b"\x01\x00", BYTES),
    ("({ body: new ArrayBuffer(2) })", 200, b"\x00\x00", BYTES),
    ("({ body: { a: [1, null, 'h\\u00e9'], u: undefined } })", 200, '{"a":[1,null,"hé"]}'.encode(), JSON),
    ("({ body: [1, 2] })", 200, b"[1,2]", JSON),
    ("({ body: 1.5 })", 200, b"1.5", JSON),
    ("({ body: false })", 200, b"false", JSON),
    ("({ body: new Date(0) })", 200, b'"1970-01-01T00:00:00.000Z"', JSON),
    ("({ body: 'x', extra: 1 })", 200, b"x", TEXT),
    ("({ body: new Blob(['ab', 'c'], { type: 'text/csv' }) })", 200, b"abc", "text/csv"),
    ("({ body: new URLSearchParams([['a', 'b c'], ['a', '&']]) })", 200, b"a=b+c&a=%26", FORM),
    ("new Response(new URLSearchParams({ a: 'b' }))", 200, b"a=b", FORM),
    ("({ body: new (class { x = undefined; })() })", 200, b"{}", JSON),
    ("({ body: new (class { toJSON() { return {}; } })() })", 200, b"{}", JSON),
    ("({ body: Object.create(null) })", 200, b"{}", JSON),
    ("({ body: require('vm').runInNewContext('({})') })", 200, b"{}", JSON),
    ("require('vm').runInNewContext('({})')", 200, b"", None),
    ("new (class { get body() { return 'x'; } })()", 200, b"x", TEXT),
    ("({ body: 'x', headers: { 'content-TYPE': 'text/html' } })", 200, b"x", "text/html"),
    ("new Response('x', { status: 203 })", 203, b"x", "text/plain;charset=UTF-8"),
    ("new Response()", 200, b"", None),
    ("new Response(null, { status: 204 })", 204, b"", None),
    ("Response.json({ a: 1 })", 200, b'{"a":1}', JSON),
    ("Response.redirect('http://a/b', 302)", 302, b"", None),
    ("new Response(Buffer.from([0, 255]))", 200, b"\x00\xff", None),
]


@pytest.fixture(scope="module")
def expressions(tmp_path_factory):
    """One worker that evaluates the body of each request."""
    bundle = tmp_path_factory.mktemp("bundle")
    (bundle / "handler.js").write_text("exports.handle = async (req) => eval(req.text());\n")
    worker = NodeWorker(bundle)
    worker.ready()
    yield worker
    assert worker.shut_down() == 0
    worker.close()


@pytest.fixture
def evaluate(expressions):
    def run(expression):
        expressions.deadline = time.monotonic() + 20
        return expressions.call(body=expression.encode())

    return run


@pytest.mark.parametrize("expression,status,body,content_type", GOOD)
def test_good_answers(evaluate, expression, status, body, content_type):
    got = evaluate(expression)
    assert (got.status, got.body) == (status, body)
    assert got.content_length == (frames.UNKNOWN if "Blob" in expression else len(body))
    types = [value for name, value in got.headers if name.lower() == "content-type"]
    assert types == ([content_type] if content_type else [])


@pytest.mark.parametrize(
    "headers,wanted",
    [
        ("{ A: 'b', C: 5 }", [("A", "b"), ("C", "5")]),
        ("{ 'Set-Cookie': ['a=1', 'b=2'] }", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
        ("[['A', '1'], ['A', '2']]", [("A", "1"), ("A", "2")]),
        ("new Map([['A', '1']])", [("A", "1")]),
        ("new Headers([['set-cookie', 'a=1'], ['set-cookie', 'b=2']])", [("set-cookie", "a=1"), ("set-cookie", "b=2")]),
        ("{ A: '  h\\u00e9\\t' }", [("A", "hé")]),
        ("{ 'Content-Length': '99' }", []),
    ],
)
def test_headers(evaluate, headers, wanted):
    assert evaluate(f"({{ headers: {headers} }})").headers == wanted
    assert evaluate("new Response(null, { headers: { 'X-A': 'b' } })").headers == [("x-a", "b")]


def test_headers_seen_before_are_checked_like_new_ones(evaluate):
    for number in range(100):
        for name in ("X-Same", f"X-{number}"):
            headers = f"{{ headers: {{ '{name}': ['{number}', '{number}'], 'Content-LENGTH': '7' }} }}"
            assert evaluate(f"({headers})").headers == [(name, str(number))] * 2
    assert evaluate("({ headers: { 'X-Same': 5 } })").headers == [("X-Same", "5")]
    assert evaluate("({ headers: { 'X-Same': 'a\\nb' } })").kind == frames.BAD_ANSWER
    assert evaluate("({ headers: { 'Content-LENGTH': 'a\\nb' } })").kind == frames.BAD_ANSWER


def test_an_error_that_is_returned_counts_as_thrown(evaluate):
    got = evaluate("new RangeError('returned on purpose')")
    assert got.kind == frames.RAISED and "returned on purpose" in got.text
    assert evaluate("Object.assign(new Error('x'), { status: 418, body: 'tea' })").status == 418


# Objects whose JSON would be {}, whatever they hold.
HIDING = {
    "Map": "new Map([[1, 2]])",
    "Set": "new Set([1])",
    "Headers": "new Headers({ a: 'b' })",
    "RegExp": "/x/",
    "Secretive": "new (class Secretive { #x = 1; })()",
}
# What may stand in body, but is no answer.
BODIES = {
    "URLSearchParams": "new URLSearchParams('a=b')",
    "Blob": "new Blob(['x'])",
    "FormData": "new FormData()",
    "Date": "new Date(0)",
}

BAD = [
    ("undefined", "handle returned undefined: return an object like { status: 200, headers: {...}, body: ... }"),
    ("null", "handle returned null: "),
    ("'text'", "handle returned a string: "),
    ("[1]", "handle returned a value of type Array: "),
    ("Buffer.from('x')", "handle returned a value of type Buffer: "),
    ("({ message: 'hi' })", "the object has none of the fields status_code, statusCode, status, headers, body"),
    ("new ReadableStream()", "handle returned a stream: return { body: stream }"),
    ("new Request('http://a/b')", "handle returned a Request: return an object like"),
    ("req", "handle returned a Request: return an object like"),
    *(
        (value, f"handle returned a value of type {kind}: return an object like {{ status: 200, headers: {{...}}")
        for kind, value in {**HIDING, **BODIES}.items()
    ),
    ("({ status: 99 })", "status is 99: it must be a whole number from 200 to 599"),
    ("({ statusCode: 600 })", "statusCode is 600"),
    ("({ status_code: '200' })", "status_code is a string: it must be a whole number"),
    ("({ status: 200.5 })", "status is 200.5"),
    ("Response.error()", "status is 0"),
    ("({ body: 5n })", "body cannot be written as JSON (Do not know how to serialize a BigInt)"),
    ("(() => { const a = {}; a.a = a; return { body: a }; })()", "body cannot be written as JSON (Converting circular"),
    ("({ body: () => 1 })", "body is a function, which has no form in JSON"),
    ("({ body: Symbol('x') })", "body is a symbol, which has no form in JSON"),
    ("({ body: new Response('x') })", "body is a Response: return the Response itself, or its body"),
    *(
        (f"({{ body: {value} }})", f"body is a value of type {kind}, which has no form in JSON: make an object")
        for kind, value in HIDING.items()
    ),
    ("({ body: Promise.resolve('x') })", "body is a Promise: await it in an async handle"),
    ("({ headers: 5 })", "headers is a number: it must be an object or an array of pairs"),
    ("({ headers: [['a']] })", "headers has an entry that is not a pair"),
    ("({ headers: { 'a b': 'c' } })", 'header name "a b" is not a token'),
    ("({ headers: { A: 'x\\r\\nB: y' } })", "header A has a line break or another control character"),
    ("({ headers: { A: '\\u20ac' } })", "header A has a character that is not in Latin-1"),
    ("({ headers: { A: null } })", "header A is null: it must be a string, a number, or an array of them"),
    ("({ headers: { A: 'x'.repeat(70000) } })", "headers are larger than 65536 bytes"),
    ("({ body: (function* () { yield 5; })() })", "the body's stream gave a number: each chunk must be a string or bytes"),
]


@pytest.mark.parametrize("expression,text", BAD)
def test_bad_answers_say_what_to_return(evaluate, expression, text):
    got = evaluate(expression)
    assert got.kind == frames.BAD_ANSWER
    assert got.text.startswith(text)
    assert got.logs == [(1, 2, f"bad answer: {got.text}\n")]


def test_a_read_response_is_refused(evaluate):
    got = evaluate("(async () => { const r = new Response('x'); await r.text(); return r; })()")
    assert got.kind == frames.BAD_ANSWER and "has been read already" in got.text


def test_forms_are_sent_as_a_response_sends_them(evaluate):
    form = "(() => { const form = new FormData(); form.append('a', 'b'); return form; })()"
    for expression in (f"({{ body: {form} }})", f"new Response({form})"):
        got = evaluate(expression)
        content_type = dict(got.headers).get("Content-Type") or dict(got.headers)["content-type"]
        boundary = content_type.removeprefix("multipart/form-data; boundary=").encode()
        assert got.status == 200 and got.body.startswith(b"--" + boundary + b"\r\n")
        assert b'name="a"\r\n\r\nb\r\n--' + boundary + b"--" in got.body


# A server that codes its body as the query says, and what becomes of its answer in `use`.
UPSTREAM = """
(async () => {
  const { gzipSync, deflateSync, brotliCompressSync } = require("node:zlib");
  const coders = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
  const server = require("node:http").createServer((request, response) => {
    const coding = decodeURIComponent(request.url.slice(1));
    const body = coding.split(", ").reduce((bytes, each) => coders[each]?.(bytes) ?? bytes, Buffer.from("plain"));
    response.setHeader("Content-Encoding", coding);
    response.setHeader("Set-Cookie", ["a=1", "b=2"]);
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${server.address().port}/CODING`, { method: "METHOD" });
    const bytes = await response.clone().arrayBuffer(); // the server may go
    return USE;
  } finally {
    server.close();
    server.closeAllConnections?.();
  }
})()
"""


def fetched(evaluate, coding, use="response", method="GET"):
    code = UPSTREAM.replace("CODING", coding.replace(" ", "%20")).replace("METHOD", method).replace("USE", use)
    got = evaluate(code)
    assert got.status == 200
    return got, [value for name, value in got.headers if name == "content-encoding"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, br"])
@pytest.mark.parametrize("use", ["response", "response.clone()"])
def test_what_fetch_has_decoded_is_not_called_encoded(evaluate, coding, use):
    got, codings = fetched(evaluate, coding, use)
    assert (got.body, codings) == (b"plain", [])
    assert [value for name, value in got.headers if name == "set-cookie"] == ["a=1", "b=2"]


def test_what_fetch_has_not_decoded_keeps_its_coding(evaluate):
    got, codings = fetched(evaluate, "unknown")
    assert (got.body, codings) == (b"plain", ["unknown"])


def test_an_answer_to_head_is_not_called_encoded(evaluate):
    got, codings = fetched(evaluate, "gzip", method="HEAD")
    assert (got.body, codings) == (b"", [])


def test_what_the_handler_has_coded_keeps_its_coding(evaluate):
    got, codings = fetched(evaluate, "gzip", use="new Response(gzipSync(bytes), { headers: response.headers })")
    assert (gzip.decompress(got.body), codings) == (b"plain", ["gzip"])
