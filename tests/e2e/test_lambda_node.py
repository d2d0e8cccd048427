"""The template `lambda` with AWS' own client for Node, aws-lambda-ric (tests/lambda, installed by scripts/install-deps)."""

import json
import time

import pytest

from polling import eventually
from sterna import ROOT, problem_of

CLIENT = ROOT / "tests/lambda/node_modules/aws-lambda-ric"
PARTS = ("package.json", "bin/index.mjs", "dist/index.mjs", "dist/rapid-client.node")

HANDLERS = """
exports.async = async (event, context) => {
  console.log("asked for", event.rawPath);
  return {
    statusCode: 201,
    headers: { "Content-Type": "application/json", "X-Id": context.awsRequestId },
    cookies: ["a=1", "b=2"],
    body: JSON.stringify({
      method: event.requestContext.http.method,
      query: event.queryStringParameters,
      body: event.body,
      left: context.getRemainingTimeInMillis(),
      name: context.functionName,
      memory: context.memoryLimitInMB,
      arn: context.invokedFunctionArn,
    }),
  };
};

exports.callback = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setTimeout(() => callback(null, { hello: JSON.parse(event.body).name }), 10);
};

exports.streaming = awslambda.streamifyResponse(async (event, stream) => {
  const parts = awslambda.HttpResponseStream.from(stream, {
    statusCode: 203, headers: { "Content-Type": "text/x-parts", "X-A": "b" }, cookies: ["c=1"] });
  for (let n = 0; n < 3; n++) {
    parts.write(`part ${n}\\n`);
    await new Promise((done) => setTimeout(done, 200));
  }
  parts.end();
});

exports.large = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("application/x-large");
  await require("stream/promises").pipeline(
    (function* () { for (let n = 0; n < 300; n++) yield Buffer.alloc(65536, "x"); })(), stream);
});

exports.late = awslambda.streamifyResponse(async (event, stream) => {
  throw new RangeError("late on purpose");
});

exports.throws = async () => { throw new TypeError("on purpose"); };

exports.wordy = async () => { throw new Error("x".repeat(200000)); };

exports.wordyLate = awslambda.streamifyResponse(async () => { throw new Error("x".repeat(200000)); });

exports.plain = () => { throw new Error("at once"); };

exports.rejects = () => new Promise((done) => {
  Promise.reject(new Error("nobody listens"));
  setTimeout(done, 5000);
});
"""

MODULE = """
import { readFile } from "node:fs/promises";
const text = (await readFile(new URL("./word.txt", import.meta.url), "utf8")).trim();
export const handler = async (event) => ({ text, path: event.rawPath });
"""


def deploy(server, handler, files=None, **fields):
    assert CLIENT.is_dir() and (CLIENT / "dist/rapid-client.node").exists(), "run scripts/install-deps test"
    name = handler.replace(".", "-").lower()
    client = {f"node_modules/aws-lambda-ric/{part}": (CLIENT / part).read_bytes() for part in PARTS}
    command = ["node", "node_modules/aws-lambda-ric/bin/index.mjs", handler]
    limits = {"memory_mb": 256, "network": "none"}
    server.deploy(name, {**(files or {"index.js": HANDLERS}), **client}, template="lambda", command=command,
                  limits=limits, **fields)  # fmt: skip
    return name


def test_the_client_is_found_by_its_name(server):
    name = "by-name"
    client = {f"node_modules/aws-lambda-ric/{part}": (CLIENT / part).read_bytes() for part in PARTS}
    # What npm makes a link of; archives hold none.
    run = '#!/usr/bin/env node\nimport("/function/node_modules/aws-lambda-ric/bin/index.mjs");\n'
    client["node_modules/.bin/aws-lambda-ric"] = run.encode()
    # A build sets the variable for what it has installed.
    path = {"PATH": "/function/node_modules/.bin:/usr/bin:/bin"}
    server.deploy(name, {"index.js": HANDLERS, **client}, template="lambda", command=["aws-lambda-ric", "index.async"],
                  env=path, limits={"memory_mb": 256, "network": "none"})  # fmt: skip
    assert server.call(name).status_code == 201


def logged(server, name, answer, *texts):
    call_id = answer.headers["x-call-id"]

    def all_there():
        lines = "\n".join(line["text"] for line in server.logs(name, call_id=call_id))
        return all(text in lines for text in texts)

    eventually(all_there)


def test_an_async_handler(server):
    name = deploy(server, "index.async")
    for number in range(20):
        answer = server.call(name, f"/{number}?a=1", method="PUT", json={"n": number})
        seen = answer.json()
        assert (answer.status_code, answer.headers.get_list("set-cookie")) == (201, ["a=1", "b=2"])
        assert answer.headers["x-id"] == answer.headers["x-call-id"]
        assert (seen["method"], seen["query"], json.loads(seen["body"])) == ("PUT", {"a": "1"}, {"n": number})
        assert (seen["name"], seen["memory"]) == (name, "256") and seen["arn"].endswith(name)
        assert 0 < seen["left"] <= 30_000
    logged(server, name, answer, "asked for /19")


def test_a_callback_handler(server):
    name = deploy(server, "index.callback")
    answer = server.call(name, method="POST", json={"name": "é"})
    assert (answer.json(), answer.headers["content-type"]) == ({"hello": "é"}, "application/json")


def test_a_streaming_handler(server):
    name = deploy(server, "index.streaming")
    for _ in range(2):
        with server.client.stream("GET", f"/spaces/default/functions/{name}/invoke") as answer:
            arrived = {part: time.monotonic() for part in answer.iter_text()}
        assert "".join(arrived) == "part 0\npart 1\npart 2\n" and len(arrived) > 1
        assert (answer.status_code, answer.headers["content-type"]) == (203, "text/x-parts")
        assert (answer.headers["x-a"], answer.headers["set-cookie"]) == ("b", "c=1")


def test_a_large_stream(server):
    name = deploy(server, "index.large")
    answer = server.call(name)
    assert answer.headers["content-type"] == "application/x-large"
    assert answer.content == b"x" * 300 * 65536


@pytest.mark.parametrize(
    "handler, kind, text",
    [
        ("throws", "TypeError", "on purpose"),
        ("plain", "Error", "at once"),
        ("late", "RangeError", "late on purpose"),
    ],
)
def test_a_thrown_error_is_logged_with_its_stack(server, handler, kind, text):
    name = deploy(server, f"index.{handler}")
    for _ in range(2):
        answer = server.call(name)
        problem_of(answer, 500, "function_raised", "function")
        logged(server, name, answer, f"{kind}: {text}", "/function/index.js")


@pytest.mark.parametrize("handler", ["wordy", "wordyLate"])
def test_an_error_with_a_long_message(server, handler):
    name = deploy(server, f"index.{handler}")
    for _ in range(2):
        problem_of(server.call(name), 500, "function_raised", "function")


def test_a_rejection_that_nobody_handles_ends_the_program_after_its_call(server):
    name = deploy(server, "index.rejects")
    for _ in range(2):
        answer = server.call(name)
        problem_of(answer, 500, "function_raised", "function")
        logged(server, name, answer, "Runtime.UnhandledPromiseRejection: Error: nobody listens")


def test_a_module_with_top_level_await(server):
    name = deploy(server, "app.handler", {"app.mjs": MODULE, "word.txt": "hello\n"})
    assert server.call(name, "/x").json() == {"text": "hello", "path": "/x"}


@pytest.mark.parametrize(
    "handler, files, reason",
    [
        ("index.nothing", {"index.js": HANDLERS}, "Runtime.HandlerNotFound: index.nothing is undefined"),
        ("wrong.handler", {"wrong.js": "exports.handler = ("}, "Runtime.UserCodeSyntaxError: SyntaxError"),
        ("gone.handler", {"index.js": ""}, "Cannot find module 'gone'"),
    ],
)
def test_a_handler_that_does_not_load_makes_the_version_failed(server, handler, files, reason):
    name = deploy(server, handler, files, wait_for="Failed")
    assert reason in server.get(name)["status_reason"]
