"""Code that is built before it runs: C++, requirements.txt, package.json (docs/builds.md)."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

from polling import eventually
from sterna import BINARY, function_path, problem_of
from wheels import make_wheel

HEAD = "#include <sterna/function.h>\n"
HANDLE = HEAD + "sterna::Response handle(const sterna::Request& request) {\n"

SHAPES = make_wheel("shapes", "1.2", {"shapes/__init__.py": "from sides import FOUR\nSQUARE = FOUR\n"}, ["sides>=2"])
SIDES = make_wheel("sides", "2.0", {"sides.py": "FOUR = 4\n"})
USES_SHAPES = "import shapes\ndef handle(req): return {'body': str(shapes.SQUARE)}\n"


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """A server whose builds have no network, only its folder of wheels."""
    from sterna import Server

    wheels = tmp_path_factory.mktemp("wheels")
    wheels.chmod(0o755)  # builds are another user
    (wheels / SHAPES[0]).write_bytes(SHAPES[1])
    (wheels / SIDES[0]).write_bytes(SIDES[1])
    running = Server(
        tmp_path_factory.mktemp("builder") / "data", "--build-offline", "--build-wheels-dir", str(wheels)
    ).start()
    yield running
    assert running.stop() == 0, running.log()[-4000:]


def build_log(server, name, version=1, follow=False, space="default"):
    path = f"{function_path(name, space)}/builds/{version}/logs"
    answer = server.request("GET", path, params={"follow": "true"} if follow else {})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def words(log):
    return "\n".join(record["text"] for record in log)


def layers(server):
    return sorted(path.name for path in (server.data_dir / "layers").iterdir() if path.name[0] != ".")


def workshops(server):
    return [path for path in (server.data_dir / "layers").iterdir() if path.name[0] == "."]


# --- C++ ---


def test_cpp_is_compiled_from_all_its_files(builder):
    files = {
        "handler.cc": HEAD + '#include "parts/name.h"\n' + "sterna::Response handle(const sterna::Request&) { return sterna::text(name()); }",
        "parts/name.h": "#include <string>\nstd::string name();\n",
        "other.cc": '#include "parts/name.h"\nstd::string name() { return "built"; }\n',
    }  # fmt: skip
    builder.deploy("calc", files, template="cpp")
    assert builder.call("calc").text == "built"
    log = build_log(builder, "calc")
    assert log[0]["stream"] == "platform" and "building" in log[0]["text"]
    assert all(set(record) == {"timestamp", "stream", "text"} for record in log)


def test_what_the_compiler_says_is_told(builder):
    code = HANDLE + "  return sterna::text(mistake);\n}\n"
    builder.deploy("wrong", {"handler.cc": code}, template="cpp", wait_for="Failed")
    reason = builder.get("wrong")["status_reason"]
    assert reason.startswith("the build failed: handler.cc:3:") and "mistake" in reason
    log = build_log(builder, "wrong")
    assert "handler.cc:3:" in words(record for record in log if record["stream"] == "output")


def test_a_failed_build_leaves_the_running_version_alone(builder):
    builder.deploy("stays", {"handler.cc": HANDLE + 'return sterna::text("one");}'}, template="cpp")
    builder.deploy("stays", {"handler.cc": HANDLE + "return 2;}"}, template="cpp", wait_for=None)
    failed = eventually(lambda: builder.get("stays")["status_reason"], 60)
    assert failed.startswith("version 2 failed: the build failed: handler.cc:3:")
    assert builder.get("stays")["status"] == "Running" and builder.get("stays")["active_version"] == 1
    assert builder.call("stays").text == "one"


def test_what_is_missing_is_told_when_it_is_built(builder):
    files = {"handler.cc": HEAD + 'extern "C" int add(int, int);\n' + HANDLE[len(HEAD):] + "return sterna::text(std::to_string(add(1, 2)));}",
             "add.c": "int add(int a, int b) { return a + b; }\n"}  # fmt: skip
    builder.deploy("unlinked", files, template="cpp", wait_for="Failed")
    reason = builder.get("unlinked")["status_reason"]
    assert reason.startswith("the build failed: ") and "add" in reason, reason
    assert "built without add.c (only .cc and .cpp are compiled)" in reason, reason


def test_other_settings_need_no_new_build(builder):
    code = {"handler.cc": HANDLE + 'return sterna::text(std::getenv("WORD"));}'}
    builder.deploy("again", code, template="cpp", env={"WORD": "one"})
    before = layers(builder)
    answer = builder.request("PATCH", function_path("again"), json={"env": {"WORD": "two"}})
    assert answer.status_code == 200
    eventually(lambda: builder.call("again").text == "two")
    assert layers(builder) == before
    problem_of(builder.request("GET", f"{function_path('again')}/builds/2/logs"), 404, "build_not_found")


# --- Python ---


def test_requirements_come_from_wheels(builder):
    source = {"handler.py": USES_SHAPES, "requirements.txt": "# what is needed\nshapes >= 1\n"}
    builder.deploy("shapes", source)
    assert builder.call("shapes").text == "4"
    assert "Successfully installed shapes-1.2 sides-2.0" in words(build_log(builder, "shapes"))


def test_wheels_of_the_function_itself(builder):
    name, content = make_wheel("sides", "3.0", {"sides.py": "FOUR = 'four'\n"})
    handler = "import sides, own\ndef handle(req): return {'body': sides.FOUR + own.NAME}\n"
    source = {"handler.py": handler, "requirements.txt": "sides==3.0", f"wheels/{name}": content,
              "own.py": "NAME = '!'\n"}  # fmt: skip
    builder.deploy("own-wheels", source)
    assert builder.call("own-wheels").text == "four!"


def test_a_package_of_its_own_hides_the_machines(builder):
    name, content = make_wheel("werkzeug", "99.0", {"werkzeug/__init__.py": "__version__ = 'mine'\n"})
    handler = "import werkzeug\ndef handle(req): return {'body': werkzeug.__version__ + str(len(req.headers))}\n"
    source = {"handler.py": handler, "requirements.txt": "werkzeug", f"wheels/{name}": content}
    builder.deploy("werkzeug", source)
    assert builder.call("werkzeug").text.startswith("mine")


def test_a_missing_package_is_told_with_its_line(builder):
    source = {"handler.py": USES_SHAPES, "requirements.txt": "sides\n\nno-such-thing==7\n"}
    builder.deploy("missing", source, wait_for="Failed")
    reason = builder.get("missing")["status_reason"]
    assert "requirements.txt, line 3: there is no no-such-thing==7" in reason, reason


def test_hashes_are_checked(builder):
    good = hashlib.sha256(SIDES[1]).hexdigest()
    handler = "import sides\ndef handle(req): return {'body': str(sides.FOUR)}\n"
    for name, digest, status in (("hash-good", good, "Running"), ("hash-bad", "0" * 64, "Failed")):
        requirements = f"sides==2.0 \\\n  --hash=sha256:{digest}\n"
        builder.deploy(name, {"handler.py": handler, "requirements.txt": requirements}, wait_for=status)
    assert builder.call("hash-good").text == "4"
    assert "requirements.txt" in builder.get("hash-bad")["status_reason"]
    assert "hash" in builder.get("hash-bad")["status_reason"]


def test_the_same_packages_are_installed_once(builder):
    requirements = "shapes\n# installed once\n"
    before = layers(builder)
    deploys = [
        threading.Thread(
            target=builder.deploy,
            args=(f"twin-{n}", {"handler.py": f"# {n}\n{USES_SHAPES}", "requirements.txt": requirements}),
        )
        for n in range(3)
    ]
    for each in deploys:
        each.start()
    for each in deploys:
        each.join()
    assert [builder.call(f"twin-{n}").text for n in range(3)] == ["4"] * 3
    made = set(layers(builder)) - set(before)
    assert len(made) == 1
    files = list((builder.data_dir / "bundles/composed").glob(f"*/{made.pop()}/python_packages/shapes/__init__.py"))
    assert len(files) == 3 and os.stat(files[0]).st_nlink == 4  # the layer's own, and one for each function


def test_spaces_share_nothing(builder):
    """What one team's build has made, by whatever scripts, is not given to another."""
    for space in ("one-team", "other-team"):
        assert builder.request("POST", "/spaces", json={"name": space}).status_code == 201
    source = {"handler.py": USES_SHAPES, "requirements.txt": "shapes\n# of two spaces\n"}
    before = layers(builder)
    for space in ("one-team", "other-team"):
        builder.deploy("mine", source, space=space)
    assert len(set(layers(builder)) - set(before)) == 2


def test_a_local_package_is_installed_though_it_is_editable(builder):
    name, content = make_wheel("plain", "1.0", {"plain.py": "NAME = 'plain'\n"})
    source = {"handler.py": "import plain\ndef handle(req): return {'body': plain.NAME}\n",
              "requirements.txt": b"\xef\xbb\xbf-r more.txt\n".decode(), "more.txt": f"-e ./{name}\n",
              name: content}  # fmt: skip
    builder.deploy("editable", source)
    assert builder.call("editable").text == "plain"


def counted(server, metric):
    return float(re.search(rf"^{re.escape(metric)} (\S+)$", server.request("GET", "/metrics").text, re.M)[1])


def test_what_becomes_of_builds_is_counted(builder):
    outcomes = [f'sterna_builds_total{{outcome="{each}"}}' for each in ("built", "reused", "failed")]
    before = [counted(builder, each) for each in outcomes]
    spent = counted(builder, "sterna_build_seconds_total")
    code = {"handler.py": USES_SHAPES, "requirements.txt": "shapes\n# counted\n"}
    builder.deploy("counted", code)
    builder.deploy("counted-again", {**code, "notes.txt": "what the packages do not depend on"})
    builder.deploy("counted-not", {"handler.cc": HANDLE + "return nothing;}"}, template="cpp", wait_for="Failed")
    assert [counted(builder, each) for each in outcomes] == [each + 1 for each in before]
    assert counted(builder, "sterna_build_seconds_total") > spent
    assert counted(builder, "sterna_builds_running") == counted(builder, "sterna_builds_waiting") == 0


def test_a_server_of_its_own_gets_its_packages(builder):
    name, content = make_wheel("greeter", "1.0", {"greeter/__init__.py": "", "greeter/__main__.py": """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""})  # fmt: skip
    builder.deploy("greeter", {"requirements.txt": "greeter", f"wheels/{name}": content}, template="http",
                   command=["python3", "-m", "greeter"])  # fmt: skip
    assert builder.call("greeter").text == "hello"


# --- Node ---


def node_project(script="", lock=None, **package):
    """A function whose one package is a folder of its own, so that npm needs no network."""
    scripts = {"scripts": {"postinstall": script}} if script else {}
    manifest = {"dependencies": {"words": "file:./words"}, **scripts, **package}
    files = {
        "package.json": json.dumps(manifest),
        "words/package.json": json.dumps({"name": "words", "version": "1.0.0"}),
        "words/index.js": "module.exports = 'from words';",
        "handler.js": "exports.handle = () => ({ body: require('words') });",
    }
    return {**files, "package-lock.json": json.dumps(lock)} if lock else files


def test_packages_of_node_are_installed(builder):
    builder.deploy("words", node_project(f"echo began; id -u; ls -d /function /usr {builder.data_dir} || true"),
                   template="node-http")  # fmt: skip
    assert builder.call("words").text == "from words"
    log = words(build_log(builder, "words")).splitlines()
    assert {"began", "1000", "/function", "/usr"} <= set(log)
    assert str(builder.data_dir) not in log


def test_a_lock_file_is_kept_to(builder):
    entries = {
        "": {"name": "locked", "dependencies": {"words": "file:./words"}},
        "node_modules/words": {"resolved": "words", "link": True},
        "words": {"version": "1.0.0"},
    }
    lock = {"name": "locked", "lockfileVersion": 3, "requires": True, "packages": entries}
    builder.deploy("locked", node_project(lock=lock), template="node-http")
    assert builder.call("locked").text == "from words"
    old = {**lock, "packages": {"": {"name": "locked"}}}
    builder.deploy("unlocked", node_project(lock=old), template="node-http", wait_for="Failed")
    assert "run `npm install` in the folder" in builder.get("unlocked")["status_reason"]


def test_a_package_json_that_is_none(builder):
    builder.deploy("broken", {**node_project(), "package.json": "{,}"}, template="node-http", wait_for="Failed")
    assert builder.get("broken")["status_reason"].startswith("the build failed: package.json: ")


def test_all_that_scripts_make_is_kept(builder):
    """In the project too, and in the packages of its workspaces: not only node_modules at the top."""
    script = ("mkdir -p gen words/node_modules/inner && echo 'module.exports = 6' > gen/six.js"
              " && echo 'module.exports = 7' > words/node_modules/inner/index.js && echo 'module.exports = 8' > changed.js")  # fmt: skip
    files = {**node_project(script), "changed.js": "module.exports = 0",
             "words/index.js": "module.exports = require('inner');",
             "handler.js": "exports.handle = () => ({ body: [require('words'), require('./gen/six'), require('./changed')].join() });"}  # fmt: skip
    builder.deploy("makes", files, template="node-http")
    assert builder.call("makes").text == "7,6,8"


def test_a_build_sees_its_own_environment_only(builder):
    builder.deploy("looks", node_project("node -p 'Object.keys(process.env).join()'"), template="node-http")
    seen = words(build_log(builder, "looks"))
    assert "npm_config_cache" in seen and not re.search(r"STERNA_|GATEWAY_INTERFACE|REQUEST_METHOD", seen), seen


def test_why_a_script_fails_is_told(builder):
    builder.deploy("script", node_project("no-such-tool install"), template="node-http", wait_for="Failed")
    reason = builder.get("script")["status_reason"]
    assert "the script `no-such-tool install` failed: " in reason and "not found" in reason, reason


# --- Limits ---


def test_a_build_has_limits(start_server):
    server = start_server("--build-offline", "--build-disk-mb", "30", "--build-memory-mb", "300")
    fill = "dd if=/dev/zero of=big bs=1M count=100; while :; do :; done"
    server.deploy("disk", node_project(fill), template="node-http", wait_for="Failed")
    assert "more disk than the server allows builds (30 MB" in server.get("disk")["status_reason"]
    grow = "node -e 'const kept = []; for (;;) kept.push(Buffer.alloc(1 << 24, 1))'"
    server.deploy("memory", node_project(grow), template="node-http", wait_for="Failed")
    assert "more memory than the server allows builds (300 MB" in server.get("memory")["status_reason"]
    eventually(lambda: not workshops(server) and not layers(server))


UNLINKED = """
import os, time
for n in range(3):
    file = os.open(f"/function/{n}", os.O_CREAT | os.O_RDWR)
    os.unlink(f"/function/{n}")
    for _ in range(15): os.write(file, b"x" * (1 << 20))
time.sleep(1000)
"""
MANY = """
import os, time
for n in range(10_000): os.close(os.open(f"/function/words/{n}", os.O_CREAT | os.O_WRONLY))
time.sleep(1000)
"""


@pytest.mark.parametrize("script", [UNLINKED, MANY], ids=["unlinked", "many"])
def test_what_no_folder_shows_counts_too(start_server, script):
    server = start_server("--build-offline", "--build-disk-mb", "30")
    files = {**node_project("python3 fill.py"), "fill.py": script}
    server.deploy("fills", files, template="node-http", wait_for="Failed")
    assert "more disk than the server allows builds (30 MB" in server.get("fills")["status_reason"]
    eventually(lambda: not workshops(server) and not layers(server))


def test_a_build_has_as_many_processes_and_processors_as_are_allowed(start_server):
    server = start_server("--build-offline", "--build-max-pids", "24", "--build-cpus", "1")
    crowd = "for n in 1 2 3 4 5 6 7 8; do for m in 1 2 3 4 5; do sleep 30 & done; done"
    server.deploy("crowd", node_project(crowd), template="node-http", wait_for="Failed")
    assert "fork" in words(build_log(server, "crowd"))
    deploy_endless(server, "slow")
    quota, period = cpu_quota(sleepers(server)[0].pid)
    assert quota == period


def cpu_quota(pid):
    groups = dict(line.split(":", 2)[1:] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    root = pathlib.Path("/sys/fs/cgroup")
    if "cpu" not in groups:
        return map(int, (root / groups[""].strip("/") / "cpu.max").read_text().split())
    group = root / "cpu" / groups["cpu"].strip("/")
    return (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))


ENDLESS = node_project("echo began; exec sleep 1000")


def deploy_endless(server, name):
    server.deploy(name, ENDLESS, template="node-http", wait_for=None)
    eventually(lambda: sleepers(server), 60)


def sleepers(server):
    return [each for each in server.processes() if each.name() == "sleep"]


def test_a_build_is_ended_when_its_time_is_over(start_server):
    server = start_server("--build-offline", "--build-timeout-seconds", "2")
    server.deploy("slow", ENDLESS, template="node-http", wait_for="Failed")
    assert "took longer than the server allows builds (2 s" in server.get("slow")["status_reason"]
    eventually(lambda: not sleepers(server) and not workshops(server))


def test_a_build_that_nobody_wants_is_ended(start_server):
    server = start_server("--build-offline", "--build-parallel", "1")
    deploy_endless(server, "wanted")
    assert server.get("wanted")["status"] == "Building"
    code = {"handler.cc": HANDLE + 'return sterna::text("new");}'}
    server.deploy("other", code, template="cpp", wait_for="Building")
    assert "waiting for other builds" in eventually(lambda: words(build_log(server, "other")))
    server.deploy("wanted", code, template="cpp")  # takes the place of the endless one
    assert server.call("wanted").text == "new"
    server.wait_for_status("other", "Running")
    assert "cancelled" in words(build_log(server, "wanted", 1))
    deploy_endless(server, "wanted")
    server.request("DELETE", function_path("wanted"))
    eventually(lambda: not sleepers(server) and not workshops(server))


def test_builds_of_a_space_that_hang_leave_a_place_to_other_spaces(start_server):
    server = start_server("--build-offline")
    server.request("POST", "/spaces", json={"name": "evil"})
    for number in range(4):
        hanging = node_project(f"echo began {number}; exec sleep 1000")
        server.deploy(f"hangs-{number}", hanging, space="evil", template="node-http", wait_for=None)
    eventually(lambda: len(sleepers(server)) == 2, 60)
    code = {"handler.cc": HANDLE + 'return sterna::text("built");}'}
    server.deploy("good", code, template="cpp")
    assert server.call("good").text == "built"
    assert "waiting" not in words(build_log(server, "good"))
    waiting = [number for number in range(4) if "waiting for other builds" in words(build_log(server, f"hangs-{number}", space="evil"))]
    assert len(waiting) == 2
    assert len(sleepers(server)) == 2
    server.request("DELETE", "/spaces/evil?force=true")
    eventually(lambda: not sleepers(server) and not workshops(server))


def test_a_build_is_begun_again_after_a_crash(start_server):
    server = start_server("--build-offline")
    code = {"handler.cc": HANDLE + 'return sterna::text("well");}'}
    server.deploy("done", code, template="cpp")
    before = layers(server)
    deploy_endless(server, "cut")
    server.kill()
    server.start()
    assert layers(server) == before
    assert server.call("done").text == "well"
    eventually(lambda: sleepers(server), 60)
    assert server.get("cut")["status"] == "Building"
    assert len(workshops(server)) == 1
    server.deploy("cut", {"handler.cc": "// again\n" + code["handler.cc"]}, template="cpp")
    assert server.call("cut").text == "well"


def test_a_full_cache_costs_no_function_its_packages(start_server):
    server = start_server("--build-cache-mb", "0")
    code = {"handler.cc": HANDLE + 'return sterna::text("kept");}'}
    server.deploy("kept", code, template="cpp")
    eventually(lambda: layers(server) == [])
    server.kill()
    server.start()
    assert eventually(lambda: server.call("kept")).text == "kept"


# --- The logs ---


def test_a_build_can_be_followed(start_server):
    server = start_server("--build-offline")
    deploy_endless(server, "followed")
    path = f"{function_path('followed')}/builds/1/logs?follow=true"
    with server.client.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert "building" in next(lines)
        server.request("DELETE", function_path("followed"))
        assert "cancelled" in list(lines)[-1]


def test_who_follows_a_build_does_not_keep_the_server(start_server):
    server = start_server("--build-offline", "--drain-seconds", "600")
    deploy_endless(server, "followed")
    with server.open() as client:
        client.request("GET", f"{function_path('followed')}/builds/1/logs?follow=true")
        assert client.read_head().status == 200
        assert b"building" in client.read_chunk()
        assert server.stop() == 0, server.log()[-4000:]
        while client.read_chunk():  # to the last one
            pass


def test_code_that_needs_no_build_has_no_log(builder):
    builder.deploy("plain", "def handle(req): return 'x'")
    problem_of(builder.request("GET", f"{function_path('plain')}/builds/1/logs"), 404, "build_not_found")
    problem_of(builder.request("GET", f"{function_path('plain')}/builds/one/logs"), 404, "not_found")
    problem_of(builder.request("GET", f"{function_path('plain')}/builds/1/logs?follow=x"), 400, "bad_parameter")


def test_logs_go_with_their_function(builder):
    source = {"handler.py": USES_SHAPES, "requirements.txt": "shapes"}
    identity = builder.deploy("goes", source)["id"]
    folder = builder.data_dir / "build-logs" / identity
    eventually(folder.exists)
    builder.request("DELETE", function_path("goes"))
    eventually(lambda: not folder.exists())


def test_deploy_shows_the_build(builder, tmp_path):
    folder = tmp_path / "shown"
    folder.mkdir()
    (folder / "handler.cc").write_text(HANDLE + 'return sterna::text("shown");}')
    command = [BINARY, "--url", builder.url, "deploy", "--template", "cpp", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "building" in done.stderr and "Running" in done.stdout, done
    (folder / "handler.cc").write_text(HANDLE + "return wrong;}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "handler.cc:3:" in done.stderr.splitlines()[-1], done
    shown = subprocess.run([BINARY, "--url", builder.url, "builds", "logs", "shown"], capture_output=True,
                           text=True, timeout=60)  # fmt: skip
    assert shown.returncode == 0 and "handler.cc:3:" in shown.stdout
