// How an answer leaves: whole when it fits, in parts under the window of its call when it is long or a stream.
"use strict";

const { chunkBytes, isStream } = require("./answers");

const MAX_PART = 256 * 1024; // also the size of a call's first window (wire/PROTOCOL.md)
const OWN_LENGTH = -1;
const STREAMED = -2;
const WORST_UTF8 = 3; // bytes for one unit of a string

class Cancelled extends Error {}

// Sends what surely fits into the first window at once. False: it does not.
function sendWhole(connection, record, runNs, answer) {
  const { body } = answer;
  const most = typeof body === "string" ? body.length * WORST_UTF8 : body.length;
  if (most > MAX_PART) return false;
  connection.respond(record.call, record.slot, runNs, answer.status, answer.headerLines, body, OWN_LENGTH, false);
  return true;
}

// Sends what is longer. Throws Cancelled, or what the stream throws.
async function sendInParts(connection, record, runNs, answer) {
  if (answer.isStream) return sendStream(connection, record, runNs, answer);
  const bytes = Buffer.from(answer.body);
  const { call, slot } = record;
  let sent = await grantOf(record, bytes.length);
  connection.respond(
    call, slot, runNs, answer.status, answer.headerLines, bytes.subarray(0, sent), bytes.length, sent < bytes.length,
  );
  while (sent < bytes.length) {
    const granted = await grantOf(record, bytes.length - sent);
    connection.part(call, slot, bytes.subarray(sent, sent + granted), sent + granted < bytes.length);
    sent += granted;
  }
}

async function grantOf(record, wanted) {
  const granted = await record.takeWindow(Math.min(wanted, MAX_PART));
  if (granted === 0) throw new Cancelled();
  return granted;
}

// The head leaves with the first chunk, so that a stream that fails before it gave one is an error for the caller, not
// a broken answer. What is all there leaves whole, with its length.
async function sendStream(connection, record, runNs, answer) {
  const chunks = chunksOf(answer.body);
  record.onCancel = () => chunks.stop();
  const respond = (body, length, more) =>
    connection.respond(record.call, record.slot, runNs, answer.status, answer.headerLines, body, length, more);
  try {
    const first = await nextOf(chunks, record);
    if (first === null) return respond("", OWN_LENGTH, false);
    const second = nextOf(chunks, record);
    second.catch(ignore); // it may fail while the first one waits for the caller, and is awaited after that
    if (first.length <= MAX_PART && (await hasEnded(second))) return respond(first, OWN_LENGTH, false);
    respond("", STREAMED, true);
    await sendChunk(connection, record, first);
    for (let chunk = await second; chunk !== null; chunk = await nextOf(chunks, record)) {
      await sendChunk(connection, record, chunk);
    }
    connection.part(record.call, record.slot, "", false);
  } finally {
    record.onCancel = null;
    chunks.stop();
  }
}

// The bytes of the next chunk; null at the end.
async function nextOf(chunks, record) {
  const { done, value } = await chunks.next();
  if (record.cancelled) throw new Cancelled();
  return done ? null : chunkBytes(value);
}

// Whether this was the last chunk, as far as is known without waiting.
async function hasEnded(next) {
  return (await Promise.race([next, new Promise((resolve) => setImmediate(resolve, undefined))])) === null;
}

async function sendChunk(connection, record, chunk) {
  for (let sent = 0; sent < chunk.length; ) {
    const granted = await grantOf(record, chunk.length - sent);
    connection.part(record.call, record.slot, chunk.subarray(sent, sent + granted), true);
    sent += granted;
  }
}

// {next, stop} over every kind of stream. `stop` ends it early: it may be called at any time and never throws.
function chunksOf(body) {
  if (typeof body.getReader === "function") {
    const reader = body.getReader();
    return { next: () => reader.read(), stop: () => void reader.cancel().catch(ignore) };
  }
  const iterator = body[Symbol.asyncIterator]?.() ?? body;
  return {
    next: async () => iterator.next(),
    stop() {
      try {
        if (typeof body.destroy === "function") body.destroy();
        else void Promise.resolve(iterator.return?.()).catch(ignore);
      } catch {
        // A generator's `finally`: nobody waits for what it says.
      }
    },
  };
}

// Ends the stream in an answer that is not sent: a file or a connection would stay open.
function discard(answer) {
  try {
    const body = answer.body;
    if (isStream(body)) chunksOf(body).stop();
  } catch {
    // There is none, it is somebody else's already, or it breaks when it is looked at.
  }
}

function ignore() {}

module.exports = { discard, sendWhole, sendInParts, Cancelled };
