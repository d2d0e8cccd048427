// Says what went wrong: a line for the server, a stack without our own frames for the function's log.
"use strict";

const fs = require("node:fs");
const { inspect } = require("node:util");

const KIND = { raised: 1, badAnswer: 2, cancelled: 3 };
const MAX_SUMMARY = 1000;
const MAX_STACK = 64 * 1024;
const OURS = __dirname;

let bundle = "/function";

// Tells where user code is.
function stopAt(folder) {
  bundle = folder;
}

// `Name: message` in one line.
function summaryOf(error) {
  let text;
  try {
    text = error instanceof Error ? `${error.name}: ${error.message}` : `${inspect(error)} was thrown`;
  } catch {
    text = "an error whose text cannot be made";
  }
  const end = text.indexOf("\n");
  return (end < 0 ? text : text.slice(0, end)).slice(0, MAX_SUMMARY);
}

// With causes and fields, as Node prints it.
function stackOf(error) {
  let text;
  try {
    text = error instanceof Error ? inspect(error) : `Uncaught ${inspect(error)}`;
  } catch {
    text = summaryOf(error);
  }
  const lines = text.split("\n").filter((line) => !isOurFrame(line));
  text = `${lines.join("\n")}\n`;
  if (text.length <= MAX_STACK) return text;
  const half = MAX_STACK / 2;
  return `${text.slice(0, half)}\n[... cut ...]\n${text.slice(-half)}`;
}

function isOurFrame(line) {
  return /^\s+at /.test(line) && (line.includes(OURS) || line.includes("(node:internal/"));
}

// "handler.js, line 3": the innermost place in the bundle that the stack names; null when there is none.
function placeOf(error) {
  const stack = typeof error?.stack === "string" ? error.stack : "";
  for (const line of stack.split("\n")) {
    const at = line.indexOf(`${bundle}/`);
    if (at < 0) continue;
    const match = /^([^:()]+):(\d+)/.exec(line.slice(at + bundle.length + 1));
    if (match) return `${match[1]}, line ${match[2]}`;
  }
  return null;
}

// The file of the bundle whose import could not be followed; null when the error is another one.
function importerOf(error) {
  const file = / imported from (\/.*)$/m.exec(error?.message ?? "")?.[1];
  return file?.startsWith(`${bundle}/`) ? file.slice(bundle.length + 1) : null;
}

// What an import without the end of a file's name may mean, which `require` would have found.
function wholeName(target) {
  for (const end of [".js", ".mjs", ".cjs", ".json", "/index.js", "/index.mjs", "/index.cjs"]) {
    if (target.startsWith(`${bundle}/`) && fs.existsSync(target + end)) return target.slice(bundle.length + 1) + end;
  }
  return null;
}

// Code of a bundle often says in one word what is missing.
function adviceOn(error) {
  const unfollowed = /^(?:Cannot find module|Directory import) '(\/[^']+)'/.exec(error?.message ?? "");
  const meant = unfollowed && wholeName(unfollowed[1]);
  if (meant) return `: write the whole name of the file, ${meant}: import adds nothing to it`;
  const missing = /^Cannot find (?:module|package) '([^']+)'/.exec(error?.message ?? "");
  if (!missing) return "";
  if (/^[./]/.test(missing[1])) return `: there is no such file in the function's folder`;
  return `: add ${missing[1]} to the dependencies in package.json, or put it into node_modules`;
}

module.exports = { KIND, MAX_SUMMARY, stopAt, summaryOf, stackOf, placeOf, importerOf, adviceOn };
