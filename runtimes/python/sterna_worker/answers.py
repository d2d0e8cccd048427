"""Brings every form of answer that a handler may return into one; says exactly what is wrong with all
others."""

import collections.abc
import inspect
import json
import re

MAX_HEADER_BYTES = 64 * 1024

_KEYS = ("status_code", "statusCode", "body", "headers")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WANTED = "return a dict like {'status_code': 200, 'headers': {...}, 'body': ...}"

encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class BadAnswer(Exception):
    """The handler's answer cannot be sent; the text says why and what to return."""


class Answer:
    """`headers` are pairs of bytes; `body` is bytes, an iterator or an async iterable of chunks."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body


def read_answer(answer):
    """The Answer in what a handler returned; raises BadAnswer."""
    if not isinstance(answer, dict):
        raise BadAnswer(_describe_wrong_type(answer))
    if answer and not any(key in answer for key in _KEYS):
        raise BadAnswer(
            f"the dict has none of the keys {', '.join(_KEYS)}: to send it as JSON, return {{'body': ...}} around it"
        )
    status = _read_status(answer)
    body, content_type = _read_body(answer.get("body"))
    headers = _read_headers(answer.get("headers"))
    if content_type and not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", content_type))
    return Answer(status, headers, body)


def chunk_bytes(chunk):
    """The bytes of one chunk of a streamed body; raises BadAnswer."""
    if isinstance(chunk, str):
        return _encode_text(chunk)
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise BadAnswer(f"the body's iterator gave {_type_of(chunk)}: each chunk must be str or bytes")


def _type_of(value):
    return f"a value of type {type(value).__name__}"


def _describe_wrong_type(answer):
    if answer is None:
        return f"handle returned None: {_WANTED}"
    if inspect.iscoroutine(answer):
        answer.close()
        return "handle returned a coroutine that nothing awaits: declare it with `async def handle(req)`"
    return f"handle returned {_type_of(answer)}: {_WANTED}"


def _read_status(answer):
    key = "status_code" if "status_code" in answer else "statusCode"
    status = answer.get(key, 200)
    if isinstance(status, bool) or not isinstance(status, int):
        raise BadAnswer(f"{key} is {_type_of(status)}: it must be an int from 200 to 599")
    if not 200 <= status <= 599:
        raise BadAnswer(
            f"{key} is {int(status) if abs(status) < 10**9 else 'huge'}: it must be an int from 200 to 599"
        )
    return int(status)


def _read_body(body):
    """(body, content type or None)"""
    if body is None:
        return b"", None
    if isinstance(body, str):
        return _encode_text(body), b"text/plain; charset=utf-8"
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), b"application/octet-stream"
    if isinstance(body, (collections.abc.Iterator, collections.abc.AsyncIterable)):
        return body, None
    if inspect.iscoroutine(body):
        body.close()
        raise BadAnswer(
            "body is a coroutine that nothing awaits: await it in an `async def handle(req)`"
        )
    try:
        return _encode_text(encode_json(body)), b"application/json"
    except (TypeError, ValueError, RecursionError) as error:
        raise BadAnswer(
            f"body is {_type_of(body)} and cannot be written as JSON ({error}): "
            "return str, bytes, a JSON-able value, or a generator of str or bytes"
        ) from None


def _encode_text(text):
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadAnswer(
            "body has a lone surrogate and cannot be written as UTF-8: return bytes instead"
        ) from None


def _read_headers(headers):
    if headers is None:
        return []
    pairs = []
    for name, value in _iterate_headers(headers):
        for one in value if isinstance(value, (list, tuple)) else (value,):
            pair = _encode_header(name, one)
            if pair[0].lower() != b"content-length":  # the body says how long it is
                pairs.append(pair)
    if sum(len(name) + len(value) + 8 for name, value in pairs) > MAX_HEADER_BYTES:
        raise BadAnswer(f"headers are larger than {MAX_HEADER_BYTES} bytes")
    return pairs


def _iterate_headers(headers):
    if isinstance(headers, collections.abc.Mapping):
        if hasattr(headers, "getlist"):  # werkzeug's MultiDict and its kin: items() leaves out the repeated ones
            return [(name, headers.getlist(name)) for name in headers]
        return headers.items()
    if hasattr(headers, "items") and hasattr(headers, "getlist"):  # werkzeug's Headers
        return headers.items()
    if isinstance(headers, (list, tuple)):
        for pair in headers:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise BadAnswer(
                    "headers is a list with an entry that is not a pair: use [('Name', 'value'), ...]"
                )
        return headers
    raise BadAnswer(f"headers is {_type_of(headers)}: it must be a dict or a list of pairs")


def _encode_header(name, value):
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise BadAnswer(
            f"header name {_shown(name)} is not a token: use letters, digits and hyphens"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            value = str(value)
        except ValueError:  # too many digits
            raise BadAnswer(f"header {name} is an int of too many digits: return a str") from None
    if not isinstance(value, str):
        raise BadAnswer(
            f"header {name} is {_type_of(value)}: it must be a str, an int, or a list of them"
        )
    if _CONTROL.search(value):
        raise BadAnswer(
            f"header {name} has a line break or another control character in its value: remove it"
        )
    try:
        return name.encode("ascii"), value.strip(" \t").encode("latin-1")
    except UnicodeEncodeError:
        raise BadAnswer(
            f"header {name} has a character that is not in Latin-1: percent-encode the value"
        ) from None


def _shown(value):
    try:
        text = ascii(value) if isinstance(value, (str, bytes, int)) else _type_of(value)
    except ValueError:  # an int of too many digits
        text = _type_of(value)
    return text if len(text) <= 100 else text[:100] + "..."
