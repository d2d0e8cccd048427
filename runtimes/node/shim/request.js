// What a handler is given. Its parts are read from the request's bytes when they are first asked for.
"use strict";

const { Buffer } = require("node:buffer");

const EMPTY = Buffer.alloc(0);

// Offsets into `bytes`, which many requests share; see Field in native/connection.h.
class RequestBytes {
  constructor(bytes, fields, at) {
    this.bytes = bytes;
    this.methodAt = fields[at];
    this.pathAt = fields[at + 1];
    this.queryAt = fields[at + 2];
    this.headersAt = fields[at + 3];
    this.bodyAt = fields[at + 4];
    this.end = fields[at + 5];
    this.headerCount = fields[at + 6];
  }
}

class Request {
  #raw;
  #cancelled;
  #method;
  #path;
  #query;
  #headers;
  #body;
  #signal;

  constructor(raw) {
    this.#raw = raw;
  }

  // The HTTP method, e.g. "POST".
  get method() {
    const raw = this.#raw;
    return (this.#method ??= raw.bytes.latin1Slice(raw.methodAt, raw.pathAt));
  }

  // What follows /invoke, percent-decoded; "/" when nothing follows.
  get path() {
    const raw = this.#raw;
    return (this.#path ??= raw.bytes.utf8Slice(raw.pathAt, raw.queryAt));
  }

  // URLSearchParams: repeated keys in order.
  get query() {
    const raw = this.#raw;
    return (this.#query ??= new URLSearchParams(raw.bytes.utf8Slice(raw.queryAt, raw.headersAt)));
  }

  // Headers: repeated ones joined, as WHATWG has it; getSetCookie() tells the cookies apart.
  get headers() {
    return (this.#headers ??= readHeaders(this.#raw));
  }

  // Buffer: the request's body.
  get body() {
    return (this.#body ??= readBody(this.#raw));
  }

  // The body as UTF-8. A plain string: it is all here already, so there is nothing to await (but one may).
  text() {
    return this.body.utf8Slice(0, this.body.length);
  }

  // The body as JSON; throws SyntaxError. A plain value, like text().
  json() {
    return JSON.parse(this.text());
  }

  // AbortSignal: aborted when the caller is gone or the time is over.
  get signal() {
    return this.#controller().signal;
  }

  #controller() {
    if (this.#signal === undefined) {
      this.#signal = new AbortController();
      if (this.#cancelled) this.#signal.abort();
    }
    return this.#signal;
  }

  // For the shim: aborts the signal of a request.
  static cancel(request) {
    request.#cancelled = true;
    request.#signal?.abort();
  }
}

function readHeaders(raw) {
  const headers = new Headers();
  const { bytes } = raw;
  let at = raw.headersAt;
  for (let left = raw.headerCount; left > 0; --left) {
    const nameEnd = at + 8 + bytes.readUInt32LE(at);
    const valueEnd = nameEnd + bytes.readUInt32LE(at + 4);
    headers.append(bytes.latin1Slice(at + 8, nameEnd), bytes.latin1Slice(nameEnd, valueEnd));
    at = valueEnd;
  }
  return headers;
}

// A body that is a small part of what was read is copied: kept by the handler, it must not keep all the rest.
function readBody(raw) {
  const size = raw.end - raw.bodyAt;
  if (size === 0) return EMPTY;
  const view = raw.bytes.subarray(raw.bodyAt, raw.end);
  return size * 4 < raw.bytes.length ? Buffer.from(view) : view;
}

module.exports = { Request, RequestBytes };
