// Finds the handler in a bundle; says what is wrong in words that help the author.
"use strict";

const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { types } = require("node:util");

const errors = require("./errors");
const syntax = require("./syntax");

const EXAMPLE = 'exports.handle = async (req) => ({ body: "hello" })';
const MODULE_EXAMPLE = 'export async function handle(req) { return { body: "hello" }; }';

// The function cannot be started. `summary` is one line that names file and line; `detail` is a stack or empty.
class LoadError extends Error {
  constructor(summary, detail = "") {
    super(summary);
    this.summary = summary.slice(0, errors.MAX_SUMMARY);
    this.detail = detail;
  }

  static of(error, bundle, file) {
    const checked = error instanceof SyntaxError ? syntax.locate(error, bundle, file) : {};
    const place = checked.place ?? errors.placeOf(error) ?? errors.importerOf(error) ?? file;
    const summary = `${place}: ${errors.summaryOf(error)}${moduleAdvice(error, file)}${errors.adviceOn(error)}`;
    return new LoadError(summary, checked.detail ?? errors.stackOf(error));
  }

  static ofNothingLeft(file) {
    return new LoadError(`${file}: a top-level await waits for something that never comes`);
  }

  static ofExit(code, file) {
    return new LoadError(
      `${file}: the file ends the process (exit code ${code}) while it is loaded: call process.exit only from handle`,
    );
  }
}

// {handle, isAsync} of the handler file in `bundle`; throws LoadError.
async function loadHandler(bundle, file) {
  if (!fs.existsSync(path.join(bundle, file))) {
    throw new LoadError(`${file} is missing: put a file ${file} with \`${EXAMPLE}\` into the function's folder`);
  }
  let exported;
  try {
    exported = await importFile(path.join(bundle, file));
  } catch (error) {
    throw LoadError.of(error, bundle, file);
  }
  const handle = findHandle(exported, file);
  check(handle, placeOf(handle, bundle, file));
  return { handle, isAsync: types.isAsyncFunction(handle) };
}

// `require` where it works: it is several milliseconds quicker than the first `import`.
async function importFile(file) {
  if (!file.endsWith(".mjs")) {
    try {
      return createRequire(file)(file);
    } catch (error) {
      if (error?.code !== "ERR_REQUIRE_ESM" && error?.code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
      if (file.endsWith(".cjs")) throw error; // it is about a module that the file requires
    }
  }
  return import(pathToFileURL(file).href);
}

function findHandle(exported, file) {
  const isModule = types.isModuleNamespaceObject(exported);
  const toWrite = `write \`${isModule ? MODULE_EXAMPLE : EXAMPLE}\``;
  if (isServer(exported) || isServer(exported?.default)) {
    throw new LoadError(
      `${file} exports a server (it has \`listen\`): ${toWrite}, or choose the template \`http\`, ` +
        "where a server that listens on $PORT runs as it is",
    );
  }
  const found = exported?.handle ?? exported?.default?.handle;
  if (found !== undefined) return found;
  const names = Object.keys(exported ?? {});
  const instead = names.length > 0 ? ` (it exports ${names.slice(0, 5).join(", ")})` : "";
  throw new LoadError(`${file} exports no function \`handle\`${instead}: ${toWrite}`);
}

// Express, Fastify, Koa, node:http. Express has a method `handle`, too.
function isServer(exported) {
  return typeof exported?.listen === "function" && (typeof exported === "function" || exported.handle === undefined);
}

// "handler.js, line 3" when the function's own text is found in the file.
function placeOf(handle, bundle, file) {
  if (typeof handle !== "function") return file;
  const text = fs.readFileSync(path.join(bundle, file), "utf8");
  const at = text.indexOf(Function.prototype.toString.call(handle));
  return at < 0 ? file : `${file}, line ${text.slice(0, at).split("\n").length}`;
}

function check(handle, place) {
  if (typeof handle !== "function") {
    throw new LoadError(`${place}: \`handle\` is ${describe(handle)}, not a function: write \`${EXAMPLE}\``);
  }
  const source = Function.prototype.toString.call(handle);
  if (/^class\b/.test(source)) {
    throw new LoadError(`${place}: \`handle\` is a class: export a function that takes the request`);
  }
  if (types.isGeneratorFunction(handle)) {
    throw new LoadError(
      `${place}: \`handle\` is a generator itself: to stream, return { body: generator } from it`,
    );
  }
  if (handle.length > 1) {
    throw new LoadError(
      `${place}: \`handle\` takes ${handle.length} parameters, but it is called with the request alone: ` +
        "write `handle(req)` and return the answer",
    );
  }
}

function describe(value) {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `of type ${typeof value}`;
}

// What people meet when they write the other kind of module than Node takes the file for.
function moduleAdvice(error, file) {
  const text = error?.message ?? "";
  if (/Cannot use import statement|Unexpected token 'export'/.test(text)) {
    return `: call the file ${file.replace(/\.c?js$/, ".mjs")}, or add "type": "module" to package.json`;
  }
  if (/^(require|module|exports) is not defined/.test(text)) {
    return `: use import and export here, or call the file ${file.replace(/\.m?js$/, ".cjs")}`;
  }
  return "";
}

module.exports = { loadHandler, LoadError };
