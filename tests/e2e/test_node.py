"""What is Node's own in the template node-http; what all templates share is in templates/."""

import json
import time

import pytest

from sterna import problem_of

STATUS_FIELDS = ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")

# Evaluates the request's body as an async function's; what it returns is the answer's `out`.
SHELL = """
const AsyncFunction = (async () => {}).constructor;
exports.handle = async (req) => ({ body: { out: (await new AsyncFunction("require", req.text())(require)) ?? null } });
"""


@pytest.fixture(scope="module")
def shell(server):
    server.deploy("neighbour", {"handler.js": "exports.handle = () => ({});", "neighbours-secret.txt": "x"},
                  template="node")  # fmt: skip
    server.deploy("shell", {"handler.js": SHELL}, template="node-http",
                  limits={"network": "none", "max_pids": 48, "memory_mb": 128})  # fmt: skip
    server.call("neighbour")

    def run(code):
        answer = server.call("shell", method="POST", content=code.encode())
        assert answer.status_code == 200, (answer.text, server.logs("shell"))
        return answer.json()["out"]

    return run


THREADS = """
const fs = require("fs"), crypto = require("crypto"), { Worker } = require("worker_threads");
// Threads that are made late: libuv's pool, and one of the user's.
await Promise.all([...Array(8)].map(() => new Promise((done) => crypto.pbkdf2("a", "b", 1, 8, "sha256", done))));
const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
await new Promise((resolve) => worker.on("online", resolve));
const seen = fs.readdirSync("/proc/self/task").map((id) => Object.fromEntries(
  fs.readFileSync(`/proc/self/task/${id}/status`, "utf8").split("\\n").map((line) => line.split(":\\t"))));
await worker.terminate();
return seen;
"""


@pytest.mark.parametrize("network", ["none", "egress"])
def test_every_thread_is_confined(server, network):
    server.deploy("threads", {"handler.js": SHELL}, template="node-http", limits={"network": network})
    answer = server.call("threads", method="POST", content=THREADS.encode())
    assert answer.status_code == 200, (answer.text, server.logs("threads"))
    threads = [{key: each[key] for key in STATUS_FIELDS} for each in answer.json()["out"]]
    assert len(threads) > 10
    none, user = "0" * 16, "\t".join(["1000"] * 4)
    for each in threads:
        assert each == {
            "Uid": user, "Gid": user, "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
            "NoNewPrivs": "1", "Seccomp": "2",
        }  # fmt: skip


def test_the_host_is_out_of_sight(server, shell):
    assert shell(f"return require('fs').existsSync({json.dumps(str(server.data_dir))})") is False
    assert shell("return require('fs').readdirSync('/function')") == ["handler.js"]
    assert shell("return require('fs').readdirSync('/proc').filter((n) => /^\\d+$/.test(n))") == ["2"]
    environment = shell("return require('fs').readFileSync('/proc/self/environ', 'latin1')")
    assert "STERNA_DATA" not in environment and "SECRET" not in environment
    for path in ("/function/x", "/etc/x", "/usr/x", "/run/sterna-node/x", "/x"):
        code = shell(f"try {{ require('fs').writeFileSync('{path}', 'x'); }} catch (e) {{ return e.code; }}")
        assert code in ("EROFS", "EACCES"), path
    assert shell("require('fs').writeFileSync('/tmp/x', 'x'); return require('os').hostname()") == "shell"


@pytest.mark.parametrize("command", ["mount -t tmpfs x /tmp", "unshare -U true", "chroot / true", "kill -9 1"])
def test_what_needs_privileges_is_refused(shell, command):
    spawn = f"require('child_process').spawnSync('sh', ['-c', {json.dumps(command)}]).status"
    assert shell(f"return {spawn}") != 0
    assert shell("try { process.setuid(0); } catch (e) { return e.code; }") in ("EPERM", "EINVAL")


def test_no_descriptor_leads_to_the_zygote(shell):
    sockets = shell("""
        const fs = require("fs");
        const links = fs.readdirSync("/proc/self/fd").map((fd) => { try { return fs.readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } });
        return links.filter((link) => /socket:|seccomp/.test(link)).length;
    """)
    assert sockets == 1  # the worker's own


def test_network_none_has_its_own_loopback_only(server, shell):
    host, port = server.address
    code = shell(f"""
        return new Promise((resolve) => {{
          const socket = require("net").connect({port}, "{host}");
          socket.on("connect", () => resolve("connected")).on("error", (error) => resolve(error.code));
        }});
    """)
    assert code == "ECONNREFUSED"


def test_too_much_memory_is_told(server):
    source = "exports.handle = () => { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)); };"
    server.deploy("greedy", {"handler.js": source}, template="node-http", limits={"memory_mb": 96})
    problem_of(server.call("greedy"), 502, "out_of_memory", "function")


def test_garbage_alone_does_not_fill_the_memory(server):
    source = """
        exports.handle = () => {
          let kept = [];
          for (let i = 0; i < 3e6; ++i) { kept.push({ i, text: "text " + i }); if (kept.length > 2e4) kept = []; }
          return { body: "done" };
        };
    """
    server.deploy("garbage", {"handler.js": source}, template="node-http", limits={"memory_mb": 128})
    assert [server.call("garbage").text for _ in range(3)] == ["done"] * 3


def test_an_endless_loop_is_stopped(server):
    source = "exports.handle = async (req) => { if (req.path === '/loop') for (;;) ; return { body: 'fine' }; };"
    server.deploy("loop", {"handler.js": source}, template="node-http", limits={"timeout_seconds": 1})
    problem_of(server.call("loop", "/loop"), 504, "function_timeout", "function")
    assert server.call("loop").text == "fine"


def test_a_module_with_a_streamed_response(server):
    source = """
        export async function handle(req) {
          const events = new ReadableStream({
            async start(controller) {
              for (let i = 0; i < 3; ++i) { controller.enqueue(`data: ${i}\\n\\n`); await new Promise((r) => setTimeout(r, 100)); }
              controller.close();
            },
          }).pipeThrough(new TextEncoderStream());
          return new Response(events, { headers: { "Content-Type": "text/event-stream" } });
        }
    """
    server.deploy("events", {"handler.mjs": source}, template="node-http")
    server.call("events")
    began = time.monotonic()
    with server.client.stream("GET", "/spaces/default/functions/events/invoke") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        chunks = answer.iter_raw()
        assert next(chunks) == b"data: 0\n\n" and time.monotonic() - began < 0.15
        assert b"".join(chunks) == b"data: 1\n\ndata: 2\n\n"


def test_async_calls_share_a_worker(server):
    source = """
        exports.handle = async (req) => {
          console.log("begin", req.query.get("n"));
          await new Promise((resolve) => setTimeout(resolve, 20));
          return { body: String(process.env.STERNA_INSTANCE) };
        };
    """
    server.deploy("shared", {"handler.js": source}, template="node-http", limits={"max_replicas": 1})
    assert server.get("shared")["limits"]["concurrency"] == 64
    answers = {server.call("shared", f"/?n={n}").text for n in range(3)}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "files,reason",
    [
        ({"handler.js": "exports.handle = (req) => {\n"}, "handler.js, line 2: SyntaxError: Unexpected end of input"),
        ({"handler.mjs": "export const x = 1;\n"}, "handler.mjs exports no function `handle`"),
        ({"handler.js": "exports.handle = (req, res) => res.end();\n"}, "handler.js, line 1: `handle` takes 2 parameters"),
        ({"handler.js": "\nrequire('left-pad');\n"}, "handler.js, line 2: Error: Cannot find module 'left-pad': add left-pad"),
    ],
)
def test_what_cannot_be_loaded_is_told(server, files, reason):
    server.deploy("broken", files, template="node-http", wait_for="Failed")
    assert server.get("broken")["status_reason"].startswith(reason)


def test_egress_is_brought_up_for_all_threads(server):
    """The first socket may be made by any thread: `dns.lookup` asks in one of libuv's."""
    source = """
        const dns = require("dns").promises;
        exports.handle = async () => ({ body: (await dns.lookup("localhost")).address });
    """
    server.deploy("lookup", {"handler.js": source}, template="node-http", limits={"network": "egress"})
    assert server.call("lookup").text in ("127.0.0.1", "::1")


def test_who_replaces_write_sees_what_console_writes(server):
    source = """
        exports.handle = () => {
          const got = [];
          const { write } = process.stdout;
          process.stdout.write = (chunk) => got.push(chunk);
          console.log("captured");
          process.stdout.write = write;
          return { body: got };
        };
    """
    server.deploy("capturing", {"handler.js": source}, template="node-http")
    assert server.call("capturing").json() == ["captured\n"]
