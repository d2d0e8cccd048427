// The handlers of table.py, for node-http.
"use strict";

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const handlers = {
  "/mirror": (req) => ({
    body: {
      method: req.method,
      path: req.path,
      query: [...req.query],
      headers: [...req.headers],
      body: req.body.toString("base64"),
    },
  }),
  "/echo": (req) => ({ headers: { "Content-Type": "application/octet-stream" }, body: req.body }),
  "/answer": () => ({
    status: 418,
    headers: [["X-Tea", "green"], ["X-Tea", "black"], ["Connection", "close"]],
    body: "tea",
  }),
  "/large": (req) => ({ body: "x".repeat(Number(req.query.get("bytes"))) }),
  "/stream": () => ({ body: parts() }),
  "/log": (req) => {
    console.log("to stdout %s", req.query.get("word"));
    console.error("to stderr %s", req.query.get("word"));
    return { body: "logged" };
  },
  "/sleep": async (req) => {
    await wait(Number(req.query.get("seconds")));
    return { body: "slept" };
  },
  "/until-cancelled": (req) => {
    req.signal.addEventListener("abort", () => console.log("cleaned up"));
    return { body: partsUntil(req.signal) };
  },
  "/fail": () => {
    throw new Error("on purpose");
  },
  "/leave": () => process.exit(3),
  "/crash": () => process.abort(),
  "/kill": () => process.kill(process.pid, "SIGKILL"),
  "/environment": () => ({
    body: { COLOUR: process.env.COLOUR, STERNA_FUNCTION: process.env.STERNA_FUNCTION },
  }),
};

async function* parts() {
  for (let part = 0; part < 3; ++part) {
    if (part > 0) await wait(0.3);
    yield `part ${part}\n`;
  }
}

async function* partsUntil(signal) {
  while (!signal.aborted) {
    yield "part\n";
    await wait(0.02);
  }
}

exports.handle = (req) => handlers[req.path](req);
