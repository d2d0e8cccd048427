// Brings every form of answer that a handler may return into one; says exactly what is wrong with all others.
"use strict";

const { Buffer } = require("node:buffer");
const { types } = require("node:util");

const MAX_HEADER_BYTES = 64 * 1024;
const KEYS = ["status_code", "statusCode", "status", "headers", "body"];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const BEYOND_LATIN1 = /[^\x00-\xff]/;
const WANTED = "return an object like { status: 200, headers: {...}, body: ... } or a Response";

const TEXT = "text/plain; charset=utf-8";
const BYTES = "application/octet-stream";
const JSON_TYPE = "application/json";
const FORM = "application/x-www-form-urlencoded;charset=UTF-8"; // as a Response names it
const NOTHING = Buffer.alloc(0);

// The codings that fetch undoes. It knows zstd from undici 7.11 on, which came with Node 24.4.
const UNDONE = new Set(["gzip", "x-gzip", "deflate", "br"]);
const [undiciMajor, undiciMinor] = (process.versions.undici ?? "0.0").split(".").map(Number);
if (undiciMajor > 7 || (undiciMajor === 7 && undiciMinor >= 11)) UNDONE.add("zstd");

// The handler's answer cannot be sent; the text says why and what to return.
class BadAnswer extends Error {}

// `headerLines`: "name\nvalue\n" for each; `body`: a string, a Uint8Array, or what `chunksOf` takes.
class Answer {
  constructor(status, headerLines, body) {
    this.status = status;
    this.headerLines = headerLines;
    this.body = body;
  }

  get isStream() {
    return typeof this.body !== "string" && !(this.body instanceof Uint8Array);
  }
}

// The Answer in what a handler returned; throws BadAnswer. An error that was returned counts as thrown.
function readAnswer(answer) {
  if (types.isNativeError(answer) && !hasKnownKey(answer)) throw answer;
  if (answer === null || typeof answer !== "object" || Array.isArray(answer) || ArrayBuffer.isView(answer)) {
    throw new BadAnswer(`handle returned ${nameOf(answer)}: ${WANTED}`);
  }
  if (isResponse(answer)) return readResponse(answer);
  if (answer[Symbol.toStringTag] === "Request") throw new BadAnswer(`handle returned a Request: ${WANTED}`);
  if (!hasKnownKey(answer)) {
    if (isStream(answer)) throw new BadAnswer(`handle returned a stream: return { body: stream }`);
    if (Object.keys(answer).length > 0) {
      throw new BadAnswer(
        `the object has none of the fields ${KEYS.join(", ")}: to send it as JSON, return { body: ... } around it`,
      );
    }
    // A Map, a Blob, URLSearchParams: what they hold are no fields.
    if (!isPlain(answer)) throw new BadAnswer(`handle returned ${nameOf(answer)}: ${WANTED}`);
  }
  const [body, contentType] = readBody(answer.body);
  return new Answer(readStatus(answer), readHeaders(answer.headers, contentType), body);
}

// By its looks: it may be undici's, a polyfill's, or from another realm.
function isResponse(answer) {
  return answer[Symbol.toStringTag] === "Response" && typeof answer.arrayBuffer === "function";
}

function readResponse(response) {
  if (response.bodyUsed) throw new BadAnswer("the body of the Response has been read already: return a clone()");
  const status = checkStatus("status", response.status);
  return new Answer(status, readHeaders(headersOf(response)), response.body ?? NOTHING);
}

// A Response of fetch still names the coding that its server used, but its body has been decoded.
function headersOf({ url, headers, body }) {
  const coding = headers.get("content-encoding");
  if (coding === null || !url) return headers; // without a URL the handler has made it, and coded its body
  const isDecoded = coding.split(",").every((each) => UNDONE.has(each.trim().toLowerCase()));
  return isDecoded || body === null ? [...headers].filter(([name]) => name !== "content-encoding") : headers;
}

// KEYS, each by its name: the compiler makes something quick of that.
function hasKnownKey(answer) {
  return (
    "body" in answer || "headers" in answer || "status" in answer || "statusCode" in answer || "status_code" in answer
  );
}

function readStatus({ status_code, statusCode, status }) {
  if (status_code !== undefined) return checkStatus("status_code", status_code);
  if (statusCode !== undefined) return checkStatus("statusCode", statusCode);
  return status === undefined ? 200 : checkStatus("status", status);
}

function checkStatus(key, status) {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  const shown = typeof status === "number" ? String(status) : nameOf(status);
  throw new BadAnswer(`${key} is ${shown}: it must be a whole number from 200 to 599`);
}

// [body, content type or null]
function readBody(body) {
  if (typeof body === "string") return [body, TEXT];
  if (body === undefined || body === null) return [NOTHING, null];
  if (body instanceof Uint8Array) return [body, BYTES];
  if (typeof body === "object") {
    if (ArrayBuffer.isView(body) || types.isAnyArrayBuffer(body)) return [viewOf(body), BYTES];
    if (isStream(body)) return [body, null];
    if (isBlob(body)) return [body.stream(), body.type || BYTES];
    if (types.isPromise(body)) throw new BadAnswer("body is a Promise: await it in an async handle");
    switch (body[Symbol.toStringTag]) {
      case "URLSearchParams":
        return [String(body), FORM];
      case "FormData": // asked for by its name first: Node loads the class when it is named
        if (body instanceof FormData) return readForm(body);
        break;
      case "Response":
        throw new BadAnswer("body is a Response: return the Response itself, or its body");
    }
  }
  return [encodeJson(body), JSON_TYPE];
}

function encodeJson(body) {
  let text;
  try {
    text = JSON.stringify(body);
  } catch (error) {
    throw new BadAnswer(`body cannot be written as JSON (${error.message}): return text, bytes, or a stream`);
  }
  if (text === undefined) throw new BadAnswer(`body is ${nameOf(body)}, which has no form in JSON`);
  if (text === "{}" && hidesWhatItHolds(body)) {
    throw new BadAnswer(`body is ${nameOf(body)}, which has no form in JSON: make an object or an array of it`);
  }
  return text;
}

// A Map, Headers, an Error, an object with private fields only: in JSON each would be {}.
function hidesWhatItHolds(body) {
  return !isPlain(body) && typeof body.toJSON !== "function" && Object.keys(body).length === 0;
}

// An object literal and its kin, also of another realm: no class is between it and Object.
function isPlain(object) {
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

// Only a Response makes the multipart text of a form, and the boundary that its type names.
function readForm(form) {
  const { body, headers } = new Response(form);
  return [body, headers.get("content-type")];
}

function isBlob(body) {
  return typeof body.stream === "function" && typeof body.arrayBuffer === "function";
}

// ReadableStream, Readable, async generator and their kin; of sync ones only iterators: arrays are JSON.
function isStream(body) {
  return (
    typeof body.getReader === "function" ||
    typeof body[Symbol.asyncIterator] === "function" ||
    (typeof body.next === "function" && typeof body[Symbol.iterator] === "function")
  );
}

function viewOf(body) {
  return types.isAnyArrayBuffer(body)
    ? new Uint8Array(body)
    : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}

// The bytes of one chunk of a streamed body; throws BadAnswer.
function chunkBytes(chunk) {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (ArrayBuffer.isView(chunk) || types.isAnyArrayBuffer(chunk)) return viewOf(chunk);
  throw new BadAnswer(`the body's stream gave ${nameOf(chunk)}: each chunk must be a string or bytes`);
}

// What handlers set again and again is checked once: name -> value -> line.
const MAX_KNOWN_NAMES = 64;
const MAX_KNOWN_VALUES = 16; // of each name
const MAX_KNOWN_CHARACTERS = 128; // of name and value each
const known = new Map();

class KnownName {
  lines = new Map();

  constructor(name) {
    const lower = name.toLowerCase();
    this.isLength = lower === "content-length";
    this.isType = lower === "content-type";
  }
}

function readHeaders(headers, contentType = null) {
  let lines = "";
  let count = 0;
  let hasType = false;
  function add(name, value) {
    const found = known.get(name) ?? learnName(name, value);
    const line = found.lines.get(value) ?? learnLine(found, name, value);
    if (found.isLength) return; // the body says how long it is
    hasType ||= found.isType;
    lines += line;
    ++count;
  }
  for (const [name, values] of headerEntries(headers)) {
    if (Array.isArray(values)) for (const value of values) add(name, value);
    else add(name, values);
  }
  if (contentType !== null && !hasType) lines += `Content-Type\n${contentType}\n`;
  if (lines.length + count * 8 > MAX_HEADER_BYTES) {
    throw new BadAnswer(`headers are larger than ${MAX_HEADER_BYTES} bytes`);
  }
  return lines;
}

// Throws BadAnswer when the header cannot be sent.
function learnName(name, value) {
  headerLine(name, value);
  const found = new KnownName(name);
  if (known.size < MAX_KNOWN_NAMES && name.length <= MAX_KNOWN_CHARACTERS) known.set(name, found);
  return found;
}

function learnLine(found, name, value) {
  const line = headerLine(name, value);
  const isShort = typeof value === "string" && value.length <= MAX_KNOWN_CHARACTERS;
  if (isShort && found.lines.size < MAX_KNOWN_VALUES) found.lines.set(value, line);
  return line;
}

// Pairs of name and value, whatever form they have: an object, Headers, a Map, an array of pairs.
function headerEntries(headers) {
  if (headers === undefined || headers === null) return [];
  if (typeof headers !== "object") {
    throw new BadAnswer(`headers is ${nameOf(headers)}: it must be an object or an array of pairs`);
  }
  if (typeof headers[Symbol.iterator] !== "function") return Object.entries(headers);
  const entries = [...headers];
  if (!entries.every((pair) => Array.isArray(pair) && pair.length === 2)) {
    throw new BadAnswer('headers has an entry that is not a pair: use [["Name", "value"], ...]');
  }
  return entries;
}

function headerLine(name, value) {
  if (typeof name !== "string" || !TOKEN.test(name)) {
    throw new BadAnswer(`header name ${shown(name)} is not a token: use letters, digits and hyphens`);
  }
  const text = typeof value === "number" || typeof value === "bigint" ? String(value) : value;
  if (typeof text !== "string") {
    throw new BadAnswer(`header ${name} is ${nameOf(value)}: it must be a string, a number, or an array of them`);
  }
  if (CONTROL.test(text)) {
    throw new BadAnswer(`header ${name} has a line break or another control character in its value: remove it`);
  }
  if (BEYOND_LATIN1.test(text)) {
    throw new BadAnswer(`header ${name} has a character that is not in Latin-1: percent-encode the value`);
  }
  return `${name}\n${trim(text)}\n`;
}

function trim(text) {
  return /^[ \t]|[ \t]$/.test(text) ? text.replace(/^[ \t]+|[ \t]+$/g, "") : text;
}

function shown(name) {
  const text = typeof name === "string" ? JSON.stringify(name) : nameOf(name);
  return text.length <= 100 ? text : `${text.slice(0, 100)}...`;
}

function nameOf(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = value.constructor?.name;
  return typeof name === "string" && name !== "" ? `a value of type ${name}` : "an object";
}

module.exports = { readAnswer, chunkBytes, isStream, BadAnswer };
