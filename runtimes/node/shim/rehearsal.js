// Serves a made-up call before there is a function: what it compiles and loads is not missing in a cold start.
"use strict";

const fs = require("node:fs");

const { Connection, rehearsal } = require("../sterna.node");
const { loadHandler } = require("./load");
const logs = require("./logs");
const { Server } = require("./server");

const REQUEST = 2;
const HEADER_BYTES = 16;

let handled = null; // called when the handler is through

// Touches what handlers touch: all of it is loaded at its first use only.
async function handle(req) {
  const headers = new Headers({ "X-Path": req.path });
  console.log("%s %s", req.method, req.query.get("q"), req.headers.get("accept"), req.signal.aborted);
  await new Promise(setImmediate);
  const answer = new Response(JSON.stringify(req.json()), { status: 200, headers });
  setImmediate(handled);
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
}

function frame(type, payload, call) {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt32LE(payload.length, 0);
  head.writeUInt8(type, 4);
  head.writeBigUInt64LE(BigInt(call), 8);
  return Buffer.concat([head, payload]);
}

// A request head as in wire/PROTOCOL.md, with one header and a body.
function request() {
  const sizes = Buffer.alloc(20);
  [4, 2, 3, 1, 17].forEach((size, at) => sizes.writeUInt32LE(size, at * 4));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(6, 0);
  lengths.writeUInt32LE(3, 4);
  return Buffer.concat([sizes, Buffer.from("POST/aq=1"), lengths, Buffer.from("Accept*/*"), Buffer.from("[1]")]);
}

async function run() {
  const { server, socket, claim } = rehearsal();
  const connection = new Connection(socket, claim);
  logs.replaceStreams();
  logs.send(connection);
  fs.writeSync(server, frame(REQUEST, request(), 1));
  const through = new Promise((resolve) => (handled = resolve));
  new Server(connection, handle, 1).start();
  await through;
  await new Promise(setImmediate);
  logs.send(null);
  connection.close();
  fs.closeSync(server);
  // Finds no handler here; by then it is compiled.
  await loadHandler("/run", "handler.js").catch(() => {});
}

module.exports = { run };
