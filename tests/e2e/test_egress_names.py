"""Functions that may reach named hosts only: what their names lead to is open to them, and nothing else."""

import errno
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import namespaces
from name_service import NameService
from polling import eventually
from sterna import Server, function_path

# Addresses of the test host. To a machine in the internet the first ones would be public.
FIRST, SECOND, OTHER = "203.0.114.7", "203.0.114.8", "203.0.114.9"
V6, SERVERS_V6 = "2606:4700:beef::7", "2606:4700:beef::1"

SHELL = """
import json, os, socket, subprocess

def look_up(name, family=0):
    try:
        return sorted({each[4][0] for each in socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return error.errno

def reach(host, port):
    try:
        with socket.create_connection((host, port), 5) as s:
            s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
            return s.makefile('rb').read().decode().splitlines()[-1]
    except socket.gaierror as error:
        return 'no address'
    except OSError as error:
        return 'error ' + str(error.errno)

def handle(req):
    names = dict(globals(), out=None)
    exec(req.body, names)
    return {"body": {"out": names["out"]}}
"""
NO_NAME, NO_ADDRESS = socket.EAI_NONAME, socket.EAI_NODATA


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello from {self.server.server_port}".encode())

    def log_message(self, *_):
        pass


class Web(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class World:
    """A test host with two web servers and a name server, and a Sterna in a host beside it."""

    def __init__(self, pair, names, ports):
        self.pair, self.names, self.ports = pair, names, ports
        self.server = None

    def run(self, function, code):
        def call():
            answer = self.server.call(function, method="POST", content=code.encode())
            assert answer.status_code == 200, (answer.text, self.server.log()[-2000:])
            return answer.json()["out"]

        return self.pair.run_here(call)

    def deploy(self, name, allow, **more):
        limits = {"network": "egress", "egress_allow": allow, **more.pop("limits", {})}
        self.pair.run_here(lambda: self.server.deploy(name, more.pop("source", SHELL), limits=limits, **more))


def give_addresses(pair):
    namespaces.ip("-n", pair.here, "address", "add", f"{SERVERS_V6}/64", "dev", "veth-here", "nodad")
    namespaces.ip("-n", pair.there, "address", "add", f"{V6}/64", "dev", "veth-there", "nodad")
    namespaces.ip("-n", pair.here, "-6", "route", "add", "default", "via", V6)
    for address in (FIRST, SECOND, OTHER):
        namespaces.ip("-n", pair.there, "address", "add", f"{address}/32", "dev", "veth-there")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    with namespaces.Pair() as pair:
        give_addresses(pair)
        webs = [pair.run_there(lambda: Web(("::", 0), Hello)) for _ in range(2)]
        threads = [threading.Thread(target=web.serve_forever) for web in webs]
        for thread in threads:
            thread.start()
        with pair.run_there(lambda: NameService(pair.there_address)) as names:
            yield pair, names, [web.server_port for web in webs]
        for web, thread in zip(webs, threads):
            web.shutdown()
            thread.join()
            web.server_close()


def started(hosts, folder, *options):
    """A server that asks the test's name server."""
    resolvers = folder / "resolv.conf"
    resolvers.write_text(f"nameserver {hosts[0].there_address}\n")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {resolvers} /etc/resolv.conf && "$@"', "sh"]
    world = World(*hosts)
    world.server = world.pair.run_here(lambda: Server(folder / "data", *options, prefix=prefix).start())
    return world


@pytest.fixture(scope="module")
def world(hosts, tmp_path_factory):
    world = started(hosts, tmp_path_factory.mktemp("names"))
    yield world
    assert world.pair.run_here(world.server.stop) == 0


@pytest.fixture(autouse=True)
def records(hosts):
    names = hosts[1]
    names.records.clear()
    names.asked.clear()
    return names.records


def test_a_name_is_reached_and_nothing_else(world, records):
    records.update({"api.example.com": [FIRST], "other.example.com": [OTHER]})
    world.deploy("named", ["api.example.com"])
    port = world.ports[0]
    seen = world.run("named", f"""
out = [reach({FIRST!r}, {port}), reach("api.example.com", {port}), reach({FIRST!r}, {port}),
       look_up("other.example.com"), reach({OTHER!r}, {port}), reach({SECOND!r}, {port})]
""")  # fmt: skip
    assert seen == ["error 113", f"hello from {port}", f"hello from {port}", NO_NAME, "error 113", "error 113"]
    assert {name for name, _ in world.names.asked} == {"api.example.com"}, "only allowed names are asked for"


def test_a_name_that_moves_is_followed(world, records):
    world.deploy("moving", ["api.example.com"])
    port = world.ports[0]
    for address in (FIRST, SECOND, OTHER):
        records["api.example.com"] = [address]
        code = f'out = [look_up("api.example.com"), reach({address!r}, {port})]'
        assert world.run("moving", code) == [[address], f"hello from {port}"]
    records["api.example.com"] = [FIRST, SECOND, OTHER]
    assert world.run("moving", 'out = look_up("api.example.com")') == [FIRST, SECOND, OTHER]


@pytest.mark.parametrize("address", [namespaces.Pair.there_address, namespaces.Pair.here_address, "169.254.169.254",
                                     "127.0.0.1", "::ffff:10.231.7.2", "fd00::1", SERVERS_V6])  # fmt: skip
def test_a_name_opens_no_private_network(world, records, address):
    records.update({"api.example.com": [address], "both.example.com": [address, FIRST]})
    name = "inward-" + "".join(each for each in address if each.isalnum())
    world.deploy(name, ["*.example.com"])
    port = world.ports[0]
    seen = world.run(name, f"""
out = [look_up("api.example.com"), look_up("both.example.com"), reach({address!r}, {port}), reach({address!r}, 53)]
""")  # fmt: skip
    assert seen[0] in (NO_ADDRESS, NO_NAME)
    assert seen[1] == [FIRST]
    assert all(each.startswith("error") for each in seen[2:]), seen


def test_names_below_one_and_ports(world, records):
    open_port, closed_port = world.ports
    records.update({"a.b.wild.example": [FIRST], "wild.example": [SECOND]})
    world.deploy("wild", [f"*.wild.example:{open_port}"])
    seen = world.run("wild", f"""
out = [reach("A.b.wild.example.", {open_port}), reach("a.b.wild.example", {closed_port}), look_up("wild.example"),
       look_up("evilwild.example"), look_up("missing.wild.example")]
""")  # fmt: skip
    assert seen == [f"hello from {open_port}", "error 113", NO_NAME, NO_NAME, NO_NAME]


def test_ipv6(world, records):
    records["six.example.com"] = [V6]
    world.deploy("six", ["six.example.com"])
    port = world.ports[0]
    seen = world.run("six", f"""
out = [reach({V6!r}, {port}), look_up("six.example.com"), reach("six.example.com", {port})]
""")  # fmt: skip
    assert seen == ["error 13", [V6], f"hello from {port}"]


def test_names_beside_ranges(world, records):
    records["api.example.com"] = [FIRST]
    world.deploy("mixed", ["api.example.com", OTHER])
    port = world.ports[0]
    code = f'out = [reach({OTHER!r}, {port}), reach("api.example.com", {port}), reach({SECOND!r}, {port})]'
    assert world.run("mixed", code) == [f"hello from {port}", f"hello from {port}", "error 113"]


def test_the_machines_resolvers_cannot_be_asked(world, records):
    records["other.example.com"] = [OTHER]
    world.deploy("asking", ["api.example.com"])
    seen = world.run("asking", f"""
query = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\5other\\7example\\3com\\0\\0\\1\\0\\1"
def ask(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        try:
            s.connect((server, 53))
            s.send(query)
            return s.recv(512)[3] & 15
        except OSError as error:
            return error.errno
out = [ask({world.pair.there_address!r}), ask("127.0.0.53"), open("/etc/resolv.conf").read()]
""")  # fmt: skip
    assert seen == [errno.EPERM, 3, "nameserver 127.0.0.53\n"]
    assert not world.names.asked


def test_the_administrator_opens_private_targets(hosts, records, tmp_path):
    pair = hosts[0]
    world = started(hosts, tmp_path, "--egress-private", f"{pair.there_address}/32")
    try:
        records.update({"db.internal": [pair.there_address], "own.internal": [pair.here_address]})
        world.deploy("inside", ["*.internal"])
        port = world.ports[0]
        code = f'out = [reach("db.internal", {port}), look_up("own.internal"), reach({FIRST!r}, {port})]'
        assert world.run("inside", code) == [f"hello from {port}", NO_ADDRESS, "error 113"]
    finally:
        assert pair.run_here(world.server.stop) == 0


def test_replicas_of_a_warm_parent(world, records):
    records["api.example.com"] = [FIRST]
    source = "import time\nuntil = time.monotonic() + 0.3\nwhile time.monotonic() < until: pass\n" + SHELL
    world.deploy("warm", ["api.example.com"], source=source)
    port = world.ports[0]
    code = f'out = [reach({FIRST!r}, {port}), reach("api.example.com", {port}), reach({SECOND!r}, {port})]'
    assert world.run("warm", code) == ["error 113", f"hello from {port}", "error 113"]


def test_node(world, records):
    records["api.example.com"] = [FIRST]
    source = """
const dns = require("node:dns").promises, net = require("node:net");
const reach = (host, port) => new Promise((done) => {
  const socket = net.connect({ host, port }, () => { socket.destroy(); done("connected"); });
  socket.on("error", (error) => done(error.code));
});
exports.handle = async (req) => {
  const port = Number(req.text());
  const resolved = await dns.resolve4("api.example.com").catch((error) => error.code);
  return { body: { out: [await reach("203.0.114.8", port), resolved, await reach("api.example.com", port)] } };
};
"""
    world.deploy("node-named", ["api.example.com"], source={"handler.js": source}, template="node-http")
    port = world.ports[0]
    assert world.run("node-named", str(port)) == ["EHOSTUNREACH", [FIRST], "connected"]


def test_a_flood_of_questions_costs_the_server_little(world, records):
    records["api.example.com"] = [FIRST]
    world.deploy("flood", ["*.example.com"])
    port = world.ports[0]
    asked = world.run("flood", """
import time
query = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4flow\\7example\\3com\\0\\0\\1\\0\\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setblocking(False)
    s.connect(("127.0.0.53", 53))
    out = 0
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            s.send(query)
            out += 1
        except BlockingIOError:
            pass
""")  # fmt: skip
    assert asked > 1000
    assert len(world.names.asked) < 1000
    code = f'out = reach("api.example.com", {port})'
    eventually(lambda: world.run("flood", code) == f"hello from {port}", 30)


def test_it_is_shown(world):
    world.deploy("shown", ["api.example.com", "*.example.org:443", "203.0.114.0/24"])
    shown = world.pair.run_here(lambda: world.server.request("GET", function_path("shown") + "/sandbox").json())
    assert shown["network"]["reaches"] == ["api.example.com", "*.example.org:443", "203.0.114.0/24"]


def test_what_is_no_target_is_refused(world):
    bad = ["http://a.example", "*", "a.*.example", "a.example:0", "10.0.0.0/33", "-a.example", 7]
    limits = {"egress_allow": ["a.example", *bad]}
    answer = world.pair.run_here(lambda: world.server.request(
        "POST", "/spaces/default/functions", json={"name": "bad", "template": "python3-http", "limits": limits}))  # fmt: skip
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert [each["field"] for each in errors] == [f"limits.egress_allow[{at}]" for at in range(1, 8)]
    assert "*.example.org" in errors[0]["message"]
