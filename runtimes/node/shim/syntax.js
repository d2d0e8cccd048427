// Finds the module that cannot be parsed: the error that `import` throws does not name it.
"use strict";

const { spawnSync } = require("node:child_process");

const CHECK_MILLISECONDS = 5000;
const FILES = 2000;
const PLACE = /^(?:file:\/\/)?(\/.*):(\d+)\n/m;

// {place, detail} for a SyntaxError, as far as it can be found out; `place` is "lib/a.mjs, line 2".
function locate(error, bundle, file) {
  const stack = String(error.stack ?? "");
  const own = /^(?:file:\/\/)?(\/.*):(\d+)\n/.exec(stack);
  if (own) return { place: shown(own, bundle) };
  if (/\n\s+at JSON\.parse /.test(stack)) return {}; // it is about data
  const script = `(${search.toString()})(...${JSON.stringify([bundle, file, error.message, FILES])})`;
  const { stderr } = spawnSync(process.execPath, ["--experimental-vm-modules", "--no-warnings", "-e", script], {
    encoding: "utf8",
    timeout: CHECK_MILLISECONDS,
    env: {},
  });
  const told = PLACE.exec(stderr ?? "");
  if (!told) return {};
  return { place: shown(told, bundle), detail: stderr.slice(told.index).split("\n    at ")[0] };
}

function shown([, file, line], bundle) {
  const path = file.startsWith(`${bundle}/`) ? file.slice(bundle.length + 1) : file;
  return `${path}, line ${line}`;
}

// Runs in a process of its own: parses what may be a module, nearest files first and packages last, runs none of it,
// and ends with the first error of that text, which Node then prints with its place.
function search(bundle, file, message, most) {
  const fs = require("node:fs");
  const path = require("node:path");
  const { SourceTextModule } = require("node:vm");
  let left = most;

  function parse(name) {
    left -= 1;
    try {
      new SourceTextModule(fs.readFileSync(name, "utf8"), { identifier: name });
    } catch (error) {
      if (error instanceof SyntaxError && error.message === message) throw error;
    }
  }
  function walk(folders) {
    const packages = [];
    while (folders.length > 0 && left > 0) {
      const folder = folders.shift();
      let entries = [];
      try {
        entries = fs.readdirSync(folder, { withFileTypes: true });
      } catch {
        continue; // closed to us
      }
      for (const entry of entries) {
        const name = path.join(folder, entry.name);
        if (entry.isDirectory()) (entry.name === "node_modules" ? packages : folders).push(name);
        else if (entry.isFile() && /\.m?js$/.test(entry.name) && left > 0) parse(name);
      }
    }
    if (packages.length > 0 && left > 0) walk(packages);
  }
  parse(path.join(bundle, file));
  walk([bundle]);
}

module.exports = { locate };
