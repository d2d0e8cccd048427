// The life of a worker: INIT, environment, handler, serving, the end.
"use strict";

const errors = require("./errors");
const { loadHandler, LoadError } = require("./load");
const logs = require("./logs");
const { Server } = require("./server");

const READY = 16;
const LOAD_FAILED = 17;
const EXIT_LOAD_FAILED = 1;
const EXIT_CRASHED = 1;
const RUNTIME = `node ${process.versions.node}`;
const PATH = "/usr/local/bin:/usr/bin:/bin";

// Serves one function in this process and ends the process.
async function run(connection) {
  logs.replaceStreams();
  logs.send(connection);
  const text = connection.readInit();
  if (text === null) process.exit(0);
  const init = JSON.parse(text);
  setUpEnvironment(init);
  const loading = watchLoading(connection, init);
  let loaded;
  try {
    loaded = await loadHandler(init.bundle, init.handler);
  } catch (error) {
    loading.failed(error);
    return;
  }
  loading.ended();
  serve(connection, init, loaded);
}

function serve(connection, init, { handle, isAsync }) {
  const concurrency = init[isAsync ? "async_concurrency" : "concurrency"] ?? 1;
  const server = new Server(connection, handle, concurrency);
  process.on("exit", (code) => server.onExit(code));
  // User code that listens for itself has decided otherwise.
  onUnlessUserCode("unhandledRejection", (reason) => server.onRejection(reason));
  onUnlessUserCode("uncaughtException", (error) => server.onUncaught(error, EXIT_CRASHED));
  connection.send(READY, JSON.stringify({ runtime: RUNTIME, async: isAsync }));
  server.start();
}

function onUnlessUserCode(event, listener) {
  process.on(event, (value) => {
    if (process.listenerCount(event) === 1) listener(value);
  });
}

// Until the handler is there, whatever goes wrong is told as the reason why the function cannot start: also what no
// `catch` sees.
function watchLoading(connection, init) {
  function failed(error) {
    const known = error instanceof LoadError ? error : LoadError.of(error, init.bundle, init.handler);
    tell(known);
    process.removeListener("exit", onExit);
    process.exit(EXIT_LOAD_FAILED);
  }
  function tell({ summary, detail }) {
    connection.send(LOAD_FAILED, JSON.stringify({ summary, detail }));
  }
  function onExit(code) {
    tell(LoadError.ofExit(code, init.handler));
    process.exitCode = EXIT_LOAD_FAILED;
  }
  const onNothingLeft = () => failed(LoadError.ofNothingLeft(init.handler));
  process.on("exit", onExit);
  process.on("beforeExit", onNothingLeft);
  process.on("uncaughtException", failed);
  process.on("unhandledRejection", failed);
  return {
    failed,
    ended() {
      process.removeListener("exit", onExit);
      process.removeListener("beforeExit", onNothingLeft);
      process.removeListener("uncaughtException", failed);
      process.removeListener("unhandledRejection", failed);
    },
  };
}

// User code sees the function's environment only, nothing of ours.
function setUpEnvironment(init) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, { PATH, HOME: "/tmp", LANG: "C.UTF-8" }, init.env);
  for (const name of ["space", "function", "version", "instance"]) {
    process.env[`STERNA_${name.toUpperCase()}`] = String(init[name] ?? "");
  }
  process.argv = [process.argv[0], `${init.bundle}/${init.handler}`];
  process.execArgv = [];
  process.chdir(init.bundle);
  errors.stopAt(init.bundle);
}

module.exports = { run };
