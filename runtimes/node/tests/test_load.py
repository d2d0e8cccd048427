"""From INIT to READY or LOAD_FAILED."""

import json

import frames
import pytest

EXAMPLE = 'write `exports.handle = async (req) => ({ body: "hello" })`'
MODULE_EXAMPLE = 'write `export async function handle(req) { return { body: "hello" }; }`'

FAILURES = [
    (None, "handler.js is missing: put a file handler.js with `exports.handle"),
    ("exports.handle = (req) => {\n  return {\n};\n", "handler.js, line 4: SyntaxError: Unexpected end of input"),
    ("exports.other = 1;\n", f"handler.js exports no function `handle` (it exports other): {EXAMPLE}"),
    ("", f"handler.js exports no function `handle`: {EXAMPLE}"),
    (
        "const app = (req, res, next) => {};\napp.handle = app;\napp.listen = () => {};\nmodule.exports = app;\n",
        f"handler.js exports a server (it has `listen`): {EXAMPLE}, or choose the template `http`, where a server",
    ),
    (
        "module.exports = require('node:http').createServer();\n",
        "handler.js exports a server (it has `listen`)",
    ),
    ("exports.handle = 5;\n", f"handler.js: `handle` is of type number, not a function: {EXAMPLE}"),
    (
        "\nexports.handle = (req, res) => {};\n",
        "handler.js, line 2: `handle` takes 2 parameters, but it is called with the request alone: write `handle(req)`",
    ),
    ("exports.handle = function* (req) {};\n", "handler.js, line 1: `handle` is a generator itself"),
    ("exports.handle = async function* (req) {};\n", "handler.js, line 1: `handle` is a generator itself"),
    ("exports.handle = class { };\n", "handler.js, line 1: `handle` is a class"),
    ("\n\nthrow new RangeError('no config');\n", "handler.js, line 3: RangeError: no config"),
    ("throw 'text';\n", "handler.js: 'text' was thrown"),
    (
        "\nrequire('nothing-like-it');\n",
        "handler.js, line 2: Error: Cannot find module 'nothing-like-it': add nothing-like-it to the dependencies in",
    ),
    (
        "require('./other.js');\n",
        "handler.js, line 1: Error: Cannot find module './other.js': there is no such file in the function's folder",
    ),
    ("process.exit(3);\n", "handler.js: the file ends the process (exit code 3) while it is loaded"),
]

MODULE_FAILURES = [
    ("export const other = 1;\n", f"handler.mjs exports no function `handle` (it exports other): {MODULE_EXAMPLE}"),
    (
        "export default { listen() {}, get() {} };\n",
        f"handler.mjs exports a server (it has `listen`): {MODULE_EXAMPLE}, or choose the template `http`",
    ),
    ("export const a = 1;\nexport const handle = ;\n", "handler.mjs, line 2: SyntaxError: Unexpected token ';'"),
    ("\nthrow new Error('broken');\n", "handler.mjs, line 2: Error: broken"),
    ("const fs = require('fs');\n", "handler.mjs, line 1: ReferenceError: require is not defined"),
    ("import x from 'left-out';\n", "handler.mjs: Error: Cannot find package 'left-out'"),
    ("await new Promise(() => {});\n", "handler.mjs: a top-level await waits for something that never comes"),
]


@pytest.mark.parametrize("source,summary", FAILURES)
def test_failures_name_file_line_and_what_to_do(start, source, summary):
    failed = start(source, ready=False).load_failed()
    assert failed["summary"].startswith(summary)
    assert "/shim/" not in failed["detail"] and "node:internal" not in failed["detail"]


@pytest.mark.parametrize("source,summary", MODULE_FAILURES)
def test_failures_of_modules(start, source, summary):
    assert start(source, handler="handler.mjs", ready=False).load_failed()["summary"].startswith(summary)


@pytest.mark.parametrize(
    "source,error",
    [
        ("import fs from 'node:fs';\nexport const handle = () => ({});\n", "Cannot use import statement outside a module"),
        ("export const handle = () => ({});\n", "Unexpected token 'export'"),
    ],
)
def test_module_syntax_in_handler_js(start, source, error):
    """Newer versions of Node see that it is a module; of older ones the author is told."""
    worker = start(source, ready=False)
    first = worker.next()
    if first.type == frames.LOAD_FAILED:
        summary = json.loads(first.payload)["summary"]
        assert summary.startswith(f"handler.js, line 1: SyntaxError: {error}: call the file handler.mjs, or add")
    else:
        assert first.type == frames.READY and worker.call().status == 200


def test_failure_in_another_file_names_that_file(start):
    failed = start("require('./helper');\n", {"helper.js": "\n\nfoo();\n"}, ready=False).load_failed()
    assert failed["summary"] == "helper.js, line 3: ReferenceError: foo is not defined"
    assert "helper.js:3" in failed["detail"] and "handler.js:1" in failed["detail"]
    failed = start("require('./helper');\n", {"helper.js": "let = ;\n"}, ready=False).load_failed()
    assert failed["summary"].startswith("helper.js, line 1: SyntaxError")


BROKEN = "export const b = 1;\nexport const a = ;\nexport const c = 2;\n"


@pytest.mark.parametrize(
    "handler, source, files, place",
    [
        ("handler.mjs", "import { a } from './lib/a.mjs';\n", {"lib/a.mjs": BROKEN}, "lib/a.mjs, line 2"),
        ("handler.js", "import { a } from './lib/a.js';\n", {"package.json": '{"type": "module"}', "lib/a.js": BROKEN},
         "lib/a.js, line 2"),
        ("handler.mjs", "import { a } from './lib/a.mjs';\n", {"lib/a.mjs": "import './b.mjs';\n", "lib/b.mjs": BROKEN},
         "lib/b.mjs, line 2"),
        ("handler.mjs", "import 'left';\n", {"node_modules/left/index.mjs": BROKEN,
         "node_modules/left/package.json": '{"exports": "./index.mjs"}'}, "node_modules/left/index.mjs, line 2"),
        ("handler.mjs", "await import('./b.mjs');\n", {"b.mjs": BROKEN, "c.mjs": "let a = {,};\n"}, "b.mjs, line 2"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_parsed_is_named(start, handler, source, files, place):
    failed = start(source, files, handler=handler, ready=False).load_failed()
    assert failed["summary"] == f"{place}: SyntaxError: Unexpected token ';'"
    assert "export const a = ;\n" in failed["detail"]


def test_text_that_cannot_be_parsed_is_no_module(start):
    failed = start("\nJSON.parse('{,}');\n", ready=False).load_failed()
    assert failed["summary"].startswith("handler.js, line 2: SyntaxError: Expected property name")


@pytest.mark.parametrize(
    "name, file",
    [("./lib/util", "lib/util.js"), ("./lib", "lib/index.mjs"), ("./lib/text", "lib/text.json")],
)
def test_imports_need_the_whole_name_of_a_file(start, name, file):
    files = {"a.mjs": f"import '{name}';\n", file: "{}"}
    failed = start("import './a.mjs';\n", files, handler="handler.mjs", ready=False).load_failed()
    assert failed["summary"].startswith("a.mjs: Error: ")
    assert failed["summary"].endswith(f": write the whole name of the file, {file}: import adds nothing to it")


def test_a_promise_rejected_while_loading(start):
    failed = start("Promise.reject(new Error('no database'));\nawaitless();\n", ready=False).load_failed()
    assert "awaitless is not defined" in failed["summary"]
    source = "Promise.reject(new Error('no database'));\nawait new Promise((r) => setTimeout(r, 1000));\n"
    failed = start(source, handler="handler.mjs", ready=False).load_failed()
    assert failed["summary"] == "handler.mjs, line 1: Error: no database"


@pytest.mark.parametrize(
    "name,source,is_async",
    [
        ("handler.js", "exports.handle = (req) => ({ body: 'x' });", False),
        ("handler.js", "module.exports = { async handle(req) { return { body: 'x' }; } };", True),
        ("handler.cjs", "exports.handle = async () => ({ body: 'x' });", True),
        ("handler.mjs", "export async function handle(req) { return { body: 'x' }; }", True),
        ("handler.mjs", "export default { handle: (req) => ({ body: 'x' }) };", False),
        ("handler.mjs", "const body = await Promise.resolve('x'); export const handle = () => ({ body });", False),
    ],
)
def test_every_way_to_export_a_handler(start, name, source, is_async):
    worker = start(source, handler=name)
    assert worker.ready_info["async"] is is_async
    assert worker.ready_info["runtime"].startswith("node ")
    assert worker.call().body == b"x"


def test_package_json_makes_a_module_of_handler_js(start):
    source = "import { body } from './lib/text.js';\nexport const handle = () => ({ body });\n"
    files = {"package.json": '{"type": "module"}', "lib/text.js": "export const body = 'from a module';\n"}
    assert start(source, files).call().body == b"from a module"


def test_packages_of_the_bundle_are_found(start):
    files = {
        "node_modules/greet/package.json": '{"name": "greet", "main": "main.js"}',
        "node_modules/greet/main.js": "module.exports = () => 'hi';\n",
    }
    assert start("const greet = require('greet');\nexports.handle = () => ({ body: greet() });\n", files).call().body == b"hi"
    module = "import greet from 'greet';\nexport const handle = () => ({ body: greet() });\n"
    assert start(module, files, handler="handler.mjs").call().body == b"hi"


def test_user_code_sees_its_own_environment_only(start):
    source = """
        exports.handle = () => ({ body: {
          env: process.env, argv: process.argv.slice(1), execArgv: process.execArgv, cwd: process.cwd(),
          main: require.main === module,
        } });
    """
    worker = start(source, env={"A": "b", "TZ": "Asia/Tokyo"})
    seen = json.loads(worker.call().body)
    assert seen["env"] == {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "A": "b", "TZ": "Asia/Tokyo",
        "STERNA_SPACE": "default", "STERNA_FUNCTION": "hello", "STERNA_VERSION": "3", "STERNA_INSTANCE": "hello-1",
    }  # fmt: skip
    assert seen["argv"] == [f"{seen['cwd']}/handler.js"]
    assert seen["execArgv"] == [] and seen["main"] is False
