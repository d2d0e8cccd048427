// What a handler is given. Its parts are read from the request's bytes when they are first asked for.
"use strict";

const { Buffer } = require("node:buffer");

const EMPTY = Buffer.alloc(0);
const BOM = Buffer.from("\ufeff");

// Offsets into a request's payload: wire/PROTOCOL.md, request head.
const PATH_BYTES = 4;
const QUERY_BYTES = 8;
const HEADER_COUNT = 12;
const HEAD_BYTES = 20;
const SHARED_BYTES = 16 * 1024; // as many may be kept for the sake of a small body: Buffer's own pool does no better

// What most handlers never ask for.
class Parts {
  method = undefined;
  path = undefined;
  query = undefined;
  headers = undefined;
  signal = undefined;
  cancelled = false;
}

class Request {
  #bytes; // of many requests; this one's payload is from `at` to `end`
  #at;
  #bodyAt;
  #end;
  #body = undefined;
  #parts = undefined;

  constructor(bytes, at, bodyAt, end) {
    this.#bytes = bytes;
    this.#at = at;
    this.#bodyAt = bodyAt;
    this.#end = end;
  }

  // The HTTP method, e.g. "POST".
  get method() {
    const parts = this.#known();
    return (parts.method ??= this.#bytes.latin1Slice(this.#at + HEAD_BYTES, this.#pathAt()));
  }

  // What follows /invoke, percent-decoded; "/" when nothing follows.
  get path() {
    const parts = this.#known();
    return (parts.path ??= this.#bytes.utf8Slice(this.#pathAt(), this.#queryAt()));
  }

  // URLSearchParams: repeated keys in order.
  get query() {
    const parts = this.#known();
    return (parts.query ??= new URLSearchParams(this.#bytes.utf8Slice(this.#queryAt(), this.#headersAt())));
  }

  // Headers: repeated ones joined, as WHATWG has it; getSetCookie() tells the cookies apart.
  get headers() {
    const parts = this.#known();
    return (parts.headers ??= readHeaders(
      this.#bytes, this.#headersAt(), this.#bytes.readUInt32LE(this.#at + HEADER_COUNT),
    ));
  }

  // Buffer: the request's body.
  get body() {
    return (this.#body ??= readBody(this.#bytes, this.#at, this.#bodyAt, this.#end));
  }

  // The body as UTF-8, without a byte order mark, as in WHATWG's Body. A plain string: it is all here already, so there
  // is nothing to await (but one may).
  text() {
    const { body } = this;
    return body.utf8Slice(startsWithBom(body) ? BOM.length : 0, body.length);
  }

  // The body as JSON; throws SyntaxError. A plain value, like text().
  json() {
    return JSON.parse(this.text());
  }

  // What readAnswer knows it by, like WHATWG's.
  get [Symbol.toStringTag]() {
    return "Request";
  }

  // AbortSignal: aborted when the caller is gone or the time is over.
  get signal() {
    return this.#controller().signal;
  }

  #controller() {
    const parts = this.#known();
    if (parts.signal === undefined) {
      parts.signal = new AbortController();
      if (parts.cancelled) parts.signal.abort();
    }
    return parts.signal;
  }

  #known() {
    return (this.#parts ??= new Parts());
  }

  #pathAt() {
    return this.#at + HEAD_BYTES + this.#bytes.readUInt32LE(this.#at);
  }

  #queryAt() {
    return this.#pathAt() + this.#bytes.readUInt32LE(this.#at + PATH_BYTES);
  }

  #headersAt() {
    return this.#queryAt() + this.#bytes.readUInt32LE(this.#at + QUERY_BYTES);
  }

  // For the shim: aborts the signal of a request.
  static cancel(request) {
    const parts = request.#known();
    parts.cancelled = true;
    parts.signal?.abort();
  }
}

function startsWithBom(bytes) {
  return bytes.length >= BOM.length && bytes[0] === BOM[0] && bytes[1] === BOM[1] && bytes[2] === BOM[2];
}

function readHeaders(bytes, from, count) {
  const headers = new Headers();
  let at = from;
  for (let left = count; left > 0; --left) {
    const nameEnd = at + 8 + bytes.readUInt32LE(at);
    const valueEnd = nameEnd + bytes.readUInt32LE(at + 4);
    headers.append(bytes.latin1Slice(at + 8, nameEnd), bytes.latin1Slice(nameEnd, valueEnd));
    at = valueEnd;
  }
  return headers;
}

// A body that was read with other requests is copied: who transfers its memory to another thread must not take theirs
// along. So is one that is a small part of much: kept by the handler, it must not keep all the rest.
function readBody(bytes, at, bodyAt, end) {
  const size = end - bodyAt;
  if (size === 0) return EMPTY;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + bodyAt, size);
  const isAlone = at === 0 && end === bytes.length;
  return isAlone && (bytes.length <= SHARED_BYTES || size * 4 >= bytes.length) ? view : Buffer.from(view);
}

module.exports = { Request };
