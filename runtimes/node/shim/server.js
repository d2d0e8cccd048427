// Serves the calls of one handler in the event loop: as many at a time as the function's concurrency says; answers that
// are ready in one turn of the loop leave in one write.
"use strict";

const { performance } = require("node:perf_hooks");

const { Kind } = require("../sterna.node");
const { readAnswer, BadAnswer } = require("./answers");
const { KIND, MAX_SUMMARY, stackOf, summaryOf } = require("./errors");
const { log, running, say, STDERR } = require("./logs");
const { Request, RequestBytes } = require("./request");
const { sendInParts, sendWhole, Cancelled } = require("./sending");

// Field and kFieldCount of native/connection.h
const FIELDS = 10;
const CALL = 1;
const SLOT = 2;
const VALUE = 3; // the first of a request's places; the bytes of a window

const FIRST_WINDOW = 256 * 1024;
const MAX_HELD_MS = 0.2; // how long answers may wait for those of the next calls
const LEAVE_MS = 5000; // how long others may go on when a call has broken the process

// One call that runs.
class Running {
  constructor(call, slot, request) {
    this.call = call;
    this.slot = slot;
    this.request = request;
    this.started = performance.now();
    this.ended = false;
    this.cancelled = false;
    this.onCancel = null;
    this.window = FIRST_WINDOW;
    this.wake = null;
  }

  get runNs() {
    return (performance.now() - this.started) * 1e6;
  }

  // Waits until bytes of the body may leave, takes at most `wanted` of them; 0: cancelled.
  async takeWindow(wanted) {
    while (this.window === 0 && !this.cancelled) {
      await new Promise((resolve) => (this.wake = resolve));
    }
    if (this.cancelled) return 0;
    const taken = Math.min(wanted, this.window);
    this.window -= taken;
    return taken;
  }

  grant(bytes) {
    this.window += bytes;
    this.wake?.();
  }

  cancel() {
    this.cancelled = true;
    this.wake?.();
    this.onCancel?.();
    Request.cancel(this.request);
  }
}

class Server {
  #connection;
  #handle;
  #concurrency;
  #fields;
  #waiting = new Map(); // call -> {slot, raw}; the server sends at most one for each slot
  #running = new Map(); // call -> Running; those that did not end at once
  #starting = false;
  #stopping = false;
  #exitCode = null; // of a process that is broken: it ends when its calls have
  #leaving = false;
  #sentAt = 0;

  constructor(connection, handle, concurrency) {
    this.#connection = connection;
    this.#handle = handle;
    this.#concurrency = concurrency;
    this.#fields = connection.fields();
  }

  start() {
    this.#connection.start((count, bytes) => this.#onArrivals(count, bytes));
    setImmediate(() => this.#connection.deliver());
  }

  #onArrivals(count, bytes) {
    if (count < 0) return this.#leave(0); // the server is gone
    this.#sentAt = performance.now();
    for (let at = 0; at < count * FIELDS; at += FIELDS) this.#takeIn(at, bytes);
    this.#startWaiting();
  }

  #takeIn(at, bytes) {
    const fields = this.#fields;
    const call = fields[at + CALL];
    const slot = fields[at + SLOT];
    switch (fields[at]) {
      case Kind.REQUEST:
        this.#waiting.set(call, { slot, raw: new RequestBytes(bytes, fields, at + VALUE) });
        break;
      case Kind.WINDOW:
        this.#running.get(call)?.grant(fields[at + VALUE]);
        break;
      case Kind.CANCEL:
        if (this.#waiting.delete(call)) this.#failed(call, slot, KIND.cancelled, 0, "cancelled");
        else this.#cancel(this.#running.get(call));
        break;
      case Kind.CANCEL_UNSTARTED:
        this.#failed(call, slot, KIND.cancelled, 0, "cancelled");
        break;
      case Kind.SHUTDOWN:
        this.#stopping = true;
        break;
    }
  }

  // Listeners and streams of user code that hear of it run for their call.
  #cancel(record) {
    if (record !== undefined) running.run(record, () => record.cancel());
  }

  #startWaiting() {
    if (this.#starting) return;
    this.#starting = true;
    for (const [call, { slot, raw }] of this.#waiting) {
      if (this.#running.size >= this.#concurrency || this.#exitCode !== null) break;
      this.#waiting.delete(call);
      if (this.#connection.claim(call, slot)) this.#run(new Running(call, slot, new Request(raw)));
    }
    this.#starting = false;
    if (this.#running.size > 0) return;
    if (this.#exitCode !== null) this.#leave(this.#exitCode);
    else if (this.#stopping && this.#waiting.size === 0) this.#leave(0);
  }

  #run(record) {
    let answer;
    try {
      answer = running.run(record, this.#handle, record.request);
      if (typeof answer?.then !== "function") return this.#answered(record, answer);
    } catch (error) {
      return this.#failedWith(record, error);
    }
    this.#running.set(record.call, record);
    Promise.resolve(answer).then(
      (value) => this.#answered(record, value),
      (error) => this.#failedWith(record, error),
    );
  }

  #answered(record, value) {
    if (record.ended) return;
    if (record.cancelled) return this.#failedWith(record, new Cancelled());
    const { runNs } = record;
    let answer;
    try {
      answer = readAnswer(value);
      if (!answer.isStream && sendWhole(this.#connection, record, runNs, answer)) return this.#ended(record);
    } catch (error) {
      return this.#failedWith(record, error);
    }
    this.#running.set(record.call, record);
    running.run(record, sendInParts, this.#connection, record, runNs, answer).then(
      () => this.#ended(record),
      (error) => this.#failedWith(record, error),
    );
  }

  // Ends a call that has no answer, or not all of it.
  #failedWith(record, error) {
    if (record.ended) return;
    const { call, slot, runNs } = record;
    if (record.cancelled || error instanceof Cancelled) {
      this.#failed(call, slot, KIND.cancelled, runNs, "cancelled");
    } else if (error instanceof BadAnswer) {
      say(call, `bad answer: ${error.message}`);
      this.#failed(call, slot, KIND.badAnswer, runNs, error.message);
    } else {
      log(call, STDERR, stackOf(error));
      this.#failed(call, slot, KIND.raised, runNs, summaryOf(error));
    }
    this.#ended(record);
  }

  #failed(call, slot, kind, runNs, text) {
    this.#connection.failed(call, slot, kind, runNs, text.slice(0, MAX_SUMMARY));
  }

  #ended(record) {
    if (record.ended) return;
    record.ended = true;
    this.#running.delete(record.call);
    const now = performance.now();
    if (now - this.#sentAt > MAX_HELD_MS) {
      this.#sentAt = now;
      if (this.#waiting.size > 0) this.#connection.flush();
    }
    this.#startWaiting();
  }

  // A promise was rejected and nobody looks. The call that it belongs to cannot be trusted to come to an end.
  onRejection(reason) {
    this.#failCurrent(reason, "a promise was rejected and nothing handles it");
  }

  // An exception in a callback, e.g. of a timer. Its call fails; the state of the rest is not known: no more calls are
  // begun here, and the process ends when the others have.
  onUncaught(error, exitCode) {
    this.#failCurrent(error, "an exception that nothing catches");
    if (this.#exitCode !== null) return;
    this.#exitCode = exitCode;
    setTimeout(() => this.#leave(exitCode), LEAVE_MS).unref();
    this.#startWaiting();
  }

  #failCurrent(error, what) {
    const record = running.getStore();
    say(record?.call ?? 0, `sterna: ${what}:`);
    if (record !== undefined && !record.ended) this.#failedWith(record, error);
    else log(record?.call ?? 0, STDERR, stackOf(error));
  }

  #leave(code) {
    this.#leaving = true;
    process.exit(code);
  }

  // What was answered and said must not be lost with the process.
  onExit(code) {
    if (!this.#leaving) say(running.getStore()?.call ?? 0, `sterna: the process was ended with exit code ${code}`);
    this.#connection.flushAll();
  }
}

module.exports = { Server };
