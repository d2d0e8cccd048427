// process.stdout, process.stderr and with them console.* of user code: what they are given leaves as LOG frames with
// the number of the call that it belongs to, however many run at once.
"use strict";

const { AsyncLocalStorage } = require("node:async_hooks");
const fs = require("node:fs");
const { Writable } = require("node:stream");

const STDOUT = 1;
const STDERR = 2;

// What runs for a call, and all that it starts, finds that call here.
const running = new AsyncLocalStorage();
let connection = null;

// The number of the call that the running code belongs to; 0 outside.
function currentCall() {
  return running.getStore()?.call ?? 0;
}

function log(call, stream, text) {
  if (connection === null || !connection.log(call, stream, text)) fs.writeSync(stream, text);
}

// A line of ours in the function's log.
function say(call, text) {
  log(call, STDERR, `${text}\n`);
}

// Whole lines are sent at once; the rest of a line is sent with its end or at the end of its call.
class LogStream extends Writable {
  constructor(fd) {
    super({ decodeStrings: false, emitClose: false });
    this.fd = fd;
  }

  write(chunk, encoding, callback) {
    const done = typeof encoding === "function" ? encoding : callback;
    log(currentCall(), this.fd, asText(chunk, encoding));
    if (typeof done === "function") process.nextTick(done);
    return true;
  }

  // As Node's own: they cannot be closed. Who waits for the end is told that all is written.
  end(...given) {
    const done = typeof given.at(-1) === "function" ? given.pop() : null;
    const [chunk, encoding] = given;
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    process.nextTick(() => {
      done?.();
      this.emit("finish");
    });
    return this;
  }

  destroy() {
    return this;
  }
}

function asText(chunk, encoding) {
  if (typeof chunk === "string") {
    const isText = typeof encoding !== "string" || /^utf-?8$/i.test(encoding);
    return isText ? chunk : Buffer.from(chunk, encoding);
  }
  if (chunk instanceof Uint8Array) return chunk;
  const error = new TypeError(`The "chunk" argument must be a string or a Uint8Array, not ${typeof chunk}`);
  error.code = "ERR_INVALID_ARG_TYPE";
  throw error;
}

let replaced = false;

// Once: `console` keeps the streams that it has first seen.
function replaceStreams() {
  if (replaced) return;
  replaced = true;
  for (const [name, fd] of [["stdout", STDOUT], ["stderr", STDERR]]) {
    const value = new LogStream(fd);
    Object.defineProperty(process, name, { value, configurable: true, enumerable: true, writable: true });
  }
}

// From now on logs go there.
function send(to) {
  connection = to;
}

module.exports = { running, replaceStreams, say, log, send, STDERR };
