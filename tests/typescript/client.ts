// Uses a Sterna server as a TypeScript program does: every call is typed by what /openapi.json says.
//
//     node client.js URL
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./sterna.js";

type Fn = components["schemas"]["Function"];
type Invocation = components["schemas"]["Invocation"];

const [url] = process.argv.slice(2);
assert(url, "say the server's URL");
const sterna = createClient<paths>({ baseUrl: url });

// What a call answered; a problem document becomes an error.
async function answer<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  assert.equal(error, undefined, `${response.status} ${JSON.stringify(error)}`);
  assert(data !== undefined, `${response.status} without a body`);
  return data;
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert(Date.now() < deadline, "not within a minute");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const code = (word: string) =>
  base64(`def handle(req):\n    print("called", req.path)\n    return {"body": {"word": "${word}", "path": req.path}}\n`);

const space = "typed";
const fn = { params: { path: { space, name: "hello" } } } as const;

const running = (version: number): Promise<Fn> =>
  eventually(async () => {
    const found = await answer(sterna.GET("/spaces/{space}/functions/{name}", fn));
    assert.notEqual(found.status, "Failed", found.status_reason ?? "");
    return found.status === "Running" && found.active_version === version ? found : undefined;
  });

async function spaces(): Promise<void> {
  const made = await answer(sterna.POST("/spaces", { body: { name: space } }));
  assert.equal(made.name, space);
  const changed = await answer(
    sterna.PATCH("/spaces/{space}", { params: { path: { space } }, body: { callback_allow: ["127.0.0.0/8"] } }),
  );
  assert.deepEqual(changed.callback_allow, ["127.0.0.0/8"]);
  const all = await answer(sterna.GET("/spaces"));
  assert(all.data.some((each) => each.name === space));
}

async function secrets(): Promise<void> {
  const at = { params: { path: { space, name: "TOKEN" } } };
  const made = await answer(sterna.PUT("/spaces/{space}/secrets/{name}", { ...at, body: { value: "hidden" } }));
  assert.equal(made.name, "TOKEN");
  const listed = await answer(sterna.GET("/spaces/{space}/secrets", { params: { path: { space } } }));
  assert.equal(listed.data.length, 1);
  assert(!JSON.stringify(listed).includes("hidden"));
}

async function deploy(): Promise<void> {
  const made = await answer(
    sterna.POST("/spaces/{space}/functions", {
      params: { path: { space } },
      body: { name: "hello", template: "python3-http", secrets: ["TOKEN"], source: { code: code("one") } },
    }),
  );
  assert.equal(made.version, 1);
  await running(1);
}

async function invoke(): Promise<void> {
  const called = await sterna.GET("/spaces/{space}/functions/{name}/invoke/{a}", {
    params: { path: { ...fn.params.path, a: "path" } },
  });
  assert.equal(called.response.status, 200);
  assert.match(called.response.headers.get("x-call-id") ?? "", /^[0-9A-Z]{26}$/);
  assert.deepEqual(called.data, { word: "one", path: "/path" });
}

async function invokeAsync(): Promise<Invocation> {
  const accepted = await answer(sterna.POST("/spaces/{space}/functions/{name}/async-invoke", fn));
  const at = { params: { path: { ...fn.params.path, id: accepted.id } } };
  const ended = await eventually(async () => {
    const seen = await answer(sterna.GET("/spaces/{space}/functions/{name}/invocations/{id}", at));
    return seen.ended_at ? seen : undefined;
  });
  assert.equal(ended.state, "succeeded");
  const response = await sterna.GET("/spaces/{space}/functions/{name}/invocations/{id}/response", at);
  assert.equal(response.response.headers.get("x-function-status"), "200");
  const listed = await answer(sterna.GET("/spaces/{space}/functions/{name}/invocations", fn));
  assert.deepEqual(listed.data.map((each) => each.id), [accepted.id]);
  return ended;
}

async function logs(): Promise<void> {
  const lines = await eventually(async () => {
    const { data } = await sterna.GET("/spaces/{space}/functions/{name}/logs", { ...fn, parseAs: "text" });
    return data?.includes("called /path") ? data : undefined;
  });
  const records = lines.trimEnd().split("\n").map((line) => JSON.parse(line) as components["schemas"]["LogRecord"]);
  assert(records.some((each) => each.stream === "stdout" && each.text === "called /path"));
}

async function versions(): Promise<void> {
  await answer(
    sterna.PUT("/spaces/{space}/functions/{name}/code", { ...fn, body: { code: code("two") } }),
  );
  await running(2);
  const at = { params: { path: { ...fn.params.path, a: 1, b: 2 } } };
  const diff = await answer(sterna.GET("/spaces/{space}/functions/{name}/versions/{a}/diff/{b}", at));
  assert(JSON.stringify(diff).includes("two"));
  await answer(sterna.POST("/spaces/{space}/functions/{name}/rollback", { ...fn, body: { version: 1 } }));
  await running(3);
  const listed = await answer(sterna.GET("/spaces/{space}/functions/{name}/versions", fn));
  assert.equal(listed.data.length, 3);
  const called = await sterna.POST("/spaces/{space}/functions/{name}/invoke", fn);
  assert.deepEqual(called.data, { word: "one", path: "/" });
}

async function refusals(): Promise<void> {
  const { error, response } = await sterna.GET("/spaces/{space}/functions/{name}", {
    params: { path: { space, name: "nobody" } },
  });
  assert.equal(response.status, 404);
  assert.equal(error?.reason, "function_not_found");
}

async function remove(): Promise<void> {
  const { response } = await sterna.DELETE("/spaces/{space}", {
    params: { path: { space }, query: { force: true } },
  });
  assert.equal(response.status, 204);
}

await spaces();
await secrets();
await deploy();
await invoke();
await invokeAsync();
await logs();
await versions();
await refusals();
await remove();
console.log("all is as the types say");
