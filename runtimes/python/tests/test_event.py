"""What a handler sees of a request."""

import json

import frames

SHOW = """
    import json
    from werkzeug.datastructures import Headers, ImmutableMultiDict

    def handle(req):
        assert type(req.headers) is Headers and type(req.query) is ImmutableMultiDict
        assert type(req.body) is bytes and type(req.method) is str and type(req.path) is str
        return {"body": {"method": req.method, "path": req.path, "body": req.body.decode("latin-1"),
                         "headers": list(req.headers), "query": list(req.query.items(multi=True))}}
"""


def show(start, **parts):
    return json.loads(start(SHOW).call(**parts).body)


def test_all_parts_arrive(start):
    seen = show(
        start,
        method=b"PATCH",
        path=b"/stock/market",
        query=b"company=Google",
        headers=[(b"Accept", b"a"), (b"X-B", b"caf\xe9"), (b"accept", b"b")],
        body=b"\x00\xff body",
    )
    assert seen == {
        "method": "PATCH",
        "path": "/stock/market",
        "body": "\x00\xff body",
        "query": [["company", "Google"]],
        "headers": [["Accept", "a"], ["X-B", "café"], ["accept", "b"]],
    }


def test_query_keeps_order_repeated_and_blank(start):
    seen = show(start, query=b"b=1&a=2&b=3&blank=&bare&x=a+b%20c%2B&%C3%A9=%ff&&")
    assert seen["query"] == [
        ["b", "1"],
        ["b", "3"],
        ["a", "2"],
        ["blank", ""],
        ["bare", ""],
        ["x", "a b c+"],
        ["é", "\ufffd"],
    ]


def test_path_is_utf8_with_replacement(start):
    assert show(start, path=b"/caf\xc3\xa9/\xff")["path"] == "/café/\ufffd"


def test_empty_everything(start):
    assert show(start, method=b"GET") == {
        "method": "GET",
        "path": "/",
        "body": "",
        "headers": [],
        "query": [],
    }


def test_golden_request_is_understood(start):
    import os

    folder = os.path.join(os.path.dirname(__file__), "../../../src/wire/golden")
    worker = start(SHOW)
    with open(f"{folder}/request.bin", "rb") as file:
        data = file.read()
    golden, rest = frames.cut(data)
    assert rest == b""
    worker.set_claim(golden.slot, 1)
    worker.send(data)
    seen = json.loads(worker.outcome().body)
    assert seen["path"] == "/stock/café" and seen["body"] == "\x00body\xff"
    assert seen["query"] == [["company", "Google"], ["company", ""], ["q", "é"]]
    assert seen["headers"] == [["Accept", "text/plain"], ["Accept", "*/*"], ["X-Latin", "café"]]


def test_attributes_are_read_only_and_kept(start):
    worker = start(
        """
        def refuses(action):
            try:
                action()
            except AttributeError:
                return True

        def handle(req):
            def replace(): req.body = b"x"
            def add(): req.mine = 1
            def remove(): del req.path
            same = all(getattr(req, n) is getattr(req, n) for n in ("method", "path", "body", "headers", "query"))
            return {"body": [refuses(replace), refuses(add), refuses(remove), hasattr(req, "__dict__"), same, repr(req)]}
    """
    )
    assert json.loads(worker.call(path=b"/a", body=b"123").body) == [
        True,
        True,
        True,
        False,
        True,
        "<Event POST /a, 3 bytes>",
    ]


def test_cannot_be_made_by_hand(start):
    worker = start(
        """
        def handle(req):
            try:
                type(req)()
            except TypeError as error:
                return {"body": str(error)}
    """
    )
    assert "cannot create" in worker.call().body.decode()


def test_lives_on_after_its_call(start):
    worker = start(
        """
        kept = []

        def handle(req):
            kept.append(req)
            first = kept[0]
            return {"body": [first.path, first.body.decode(), first.headers["X-N"], first.query["n"]]}
    """
    )
    for call in range(1, 6):
        n = b"%d" % call
        seen = json.loads(
            worker.call(
                call, path=b"/" + n, body=n * 1000, headers=[(b"X-N", n)], query=b"n=" + n
            ).body
        )
        assert seen == ["/1", "1" * 1000, "1", "1"]


def test_many_calls_of_one_read_are_not_mixed_up(start):
    worker = start(
        "def handle(req):\n    return {'body': req.body, 'headers': {'X-Path': req.path}}\n"
    )
    data = b""
    for call in range(1, 201):
        worker.set_claim(call, 1)
        data += frames.request(call, path=b"/%d" % call, body=b"body %d" % call)
    worker.send(data)
    for call in range(1, 201):
        outcome = worker.outcome()
        assert outcome.body == b"body %d" % call and outcome.header("x-path") == [f"/{call}"]


def test_body_in_parts(start):
    worker = start(
        "def handle(req):\n    return {'body': str(len(req.body)) + req.body[-3:].decode()}\n"
    )
    worker.request(1, body=b"a" * 1000, more=True)
    worker.request(2, body=b"two")
    for part in (b"b" * (1 << 20), b"", b"c" * 500):
        worker.send(frames.frame(frames.BODY, part, 1, 1, more=True))
    assert worker.outcome().body == b"3two"
    worker.send(frames.frame(frames.BODY, b"end", 1, 1))
    assert worker.outcome().body == b"%dend" % (1000 + (1 << 20) + 503)
