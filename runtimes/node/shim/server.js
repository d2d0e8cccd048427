// Serves the calls of one handler in the event loop: as many at a time as the function's concurrency says; answers that
// are ready in one turn of the loop leave in one write.
"use strict";

const { AsyncResource } = require("node:async_hooks");
const { performance } = require("node:perf_hooks");

const { Kind } = require("../sterna.node");
const { readAnswer, BadAnswer } = require("./answers");
const { KIND, MAX_SUMMARY, stackOf, summaryOf } = require("./errors");
const { log, running, say, STDERR } = require("./logs");
const { Request } = require("./request");
const { discard, sendInParts, sendWhole, Cancelled } = require("./sending");

// Field and kFieldCount of native/connection.h
const FIELDS = 5;
const SLOT = 1;
const AT = 2; // of a window: how many bytes it grants
const BODY_AT = 3;
const END = 4;

// Of the claim page (wire/PROTOCOL.md)
const QUEUED = 1;
const STARTED = 2;

const FIRST_WINDOW = 256 * 1024;
const MAX_HELD_MS = 0.2; // how long answers may wait for those of the next calls
const LEAVE_MS = 5000; // how long others may go on when a call has broken the process

// One call that runs. What it stores in an AsyncLocalStorage of user code (`enterWith`) is stored in `scope`, which is
// its own.
class Running {
  constructor(call, slot, request, scope) {
    this.call = call;
    this.slot = slot;
    this.request = request;
    this.scope = scope;
    this.started = performance.now();
    this.ended = false;
    this.cancelled = false;
    this.onCancel = null;
    this.window = FIRST_WINDOW;
    this.wake = null;
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
  #loaded; // the async context of the loaded handler, where no call runs
  #handle;
  #concurrency;
  #fields;
  #calls;
  #claims;
  #waiting = new Map(); // call -> {slot, request}; the server sends at most one for each slot
  #running = []; // slot -> Running; those that did not end at once
  #runningCount = 0;
  #following = 0; // arrivals that have not been looked at yet
  #starting = false;
  #stopping = false;
  #exitCode = null; // of a process that is broken: it ends when its calls have
  #leaving = false;
  #sentAt = 0;

  constructor(connection, handle, concurrency) {
    this.#connection = connection;
    this.#loaded = new AsyncResource("SternaHandler");
    this.#handle = handle;
    this.#concurrency = concurrency;
    this.#fields = connection.fields();
    this.#calls = connection.calls();
    this.#claims = connection.claims();
  }

  start() {
    this.#connection.start((count, bytes) => this.#onArrivals(count, bytes));
    setImmediate(() => this.#connection.deliver());
  }

  #onArrivals(count, bytes) {
    if (count < 0) return this.#leave(0); // the server is gone
    this.#sentAt = performance.now();
    for (let index = 0; index < count; ++index) {
      this.#following = count - index - 1;
      this.#takeIn(this.#calls[index], index * FIELDS, bytes);
    }
    this.#startWaiting();
  }

  #takeIn(call, at, bytes) {
    const fields = this.#fields;
    const slot = fields[at + SLOT];
    switch (fields[at]) {
      case Kind.REQUEST: {
        const request = new Request(bytes, fields[at + AT], fields[at + BODY_AT], fields[at + END]);
        if (this.#waiting.size === 0 && this.#hasRoom()) this.#claim(call, slot, request);
        else this.#waiting.set(call, { slot, request });
        break;
      }
      case Kind.WINDOW:
        this.#find(call, slot)?.grant(fields[at + AT]);
        break;
      case Kind.CANCEL:
        if (this.#waiting.delete(call)) this.#failed(call, slot, KIND.cancelled, 0, "cancelled");
        else this.#cancel(this.#find(call, slot));
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
    if (record !== undefined) this.#runFor(record, () => record.cancel());
  }

  // Runs more code for a call that has begun: in its context.
  #runFor(record, code, ...values) {
    return record.scope.runInAsyncScope(running.run, running, record, code, ...values);
  }

  #find(call, slot) {
    const record = this.#running[slot];
    return record?.call === call ? record : undefined;
  }

  #hasRoom() {
    return this.#runningCount < this.#concurrency && this.#exitCode === null;
  }

  // Runs the call unless it was taken back.
  #claim(call, slot, request) {
    if (Atomics.compareExchange(this.#claims, slot, QUEUED, STARTED) === QUEUED) {
      // This may be the end of another call, whose context is its own.
      const scope = this.#loaded.runInAsyncScope(newScope);
      this.#run(new Running(call, slot, request, scope));
    } else {
      this.#connection.recalled(call, slot);
    }
  }

  #startWaiting() {
    if (this.#starting) return;
    if (this.#waiting.size > 0) {
      this.#starting = true;
      for (const [call, { slot, request }] of this.#waiting) {
        if (!this.#hasRoom()) break;
        this.#waiting.delete(call);
        this.#claim(call, slot, request);
      }
      this.#starting = false;
    }
    if (this.#runningCount > 0) return;
    if (this.#exitCode !== null) this.#leave(this.#exitCode);
    else if (this.#stopping && this.#waiting.size === 0) this.#leave(0);
  }

  #run(record) {
    let answer;
    try {
      answer = record.scope.runInAsyncScope(begin, undefined, record, this.#handle);
      if (typeof answer?.then !== "function") return this.#answered(record, answer);
    } catch (error) {
      return this.#failedWith(record, error);
    }
    this.#keep(record);
    Promise.resolve(answer).then(
      (value) => this.#answered(record, value),
      (error) => this.#failedWith(record, error),
    );
  }

  // It goes on: frames of the server may be about it.
  #keep(record) {
    if (this.#running[record.slot] === record) return;
    this.#running[record.slot] = record;
    ++this.#runningCount;
  }

  #answered(record, value) {
    if (record.ended || record.cancelled) {
      this.#runFor(record, discard, value);
      return this.#failedWith(record, new Cancelled());
    }
    const now = performance.now();
    const runNs = (now - record.started) * 1e6;
    let answer;
    try {
      answer = readAnswer(value);
      if (!answer.isStream && sendWhole(this.#connection, record, runNs, answer)) return this.#ended(record, now);
    } catch (error) {
      this.#runFor(record, discard, value);
      return this.#failedWith(record, error);
    }
    this.#keep(record);
    this.#runFor(record, sendInParts, this.#connection, record, runNs, answer).then(
      () => this.#ended(record, performance.now()),
      (error) => this.#failedWith(record, error),
    );
  }

  // Ends a call that has no answer, or not all of it.
  #failedWith(record, error) {
    if (record.ended) return;
    const { call, slot } = record;
    const now = performance.now();
    const runNs = (now - record.started) * 1e6;
    if (record.cancelled || error instanceof Cancelled) {
      this.#failed(call, slot, KIND.cancelled, runNs, "cancelled");
    } else if (error instanceof BadAnswer) {
      say(call, `bad answer: ${error.message}`);
      this.#failed(call, slot, KIND.badAnswer, runNs, error.message);
    } else {
      log(call, STDERR, stackOf(error));
      this.#failed(call, slot, KIND.raised, runNs, summaryOf(error));
    }
    this.#ended(record, now);
  }

  #failed(call, slot, kind, runNs, text) {
    this.#connection.failed(call, slot, kind, runNs, text.slice(0, MAX_SUMMARY));
  }

  #ended(record, now) {
    if (record.ended) return;
    record.ended = true;
    if (this.#running[record.slot] === record) {
      this.#running[record.slot] = undefined;
      --this.#runningCount;
    }
    if (now - this.#sentAt > MAX_HELD_MS) {
      this.#sentAt = now;
      if (this.#following > 0 || this.#waiting.size > 0) this.#connection.flush();
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

// In the scope of the call.
function begin(record, handle) {
  running.enterWith(record); // nothing else uses the scope, so that nothing has to be set back
  return handle(record.request);
}

function newScope() {
  return new AsyncResource("SternaCall");
}

module.exports = { Server };
