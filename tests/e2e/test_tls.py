"""HTTPS: the protocol's rules, certificates that change, clients that break off."""

import concurrent.futures
import os
import socket
import ssl
import subprocess

import certificates
import httpx
import pytest
from command_line import Cli
from polling import eventually
from sterna import BINARY, Server, invoke_path

ECHO = "def handle(req):\n    return {'body': req.body}\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificate):
    running = Server(
        tmp_path_factory.mktemp("server") / "data", *certificate.options(), "--header-timeout-seconds", "1", ca=certificate.certificate
    ).start()  # fmt: skip
    running.deploy("echo", ECHO)
    yield running
    assert running.stop() == 0, running.log()[-4000:]


def context_for(certificate, **versions):
    context = ssl.create_default_context(cafile=str(certificate.certificate))
    for name, value in versions.items():
        setattr(context, name, value)
    return context


def connect(server, context):
    return context.wrap_socket(socket.create_connection(server.address, 10), server_hostname="127.0.0.1")


def test_requests_of_every_size_come_back(server):
    for size in (0, 1, 16_383, 16_384, 16_385, 1_000_000, 5_000_000):
        body = bytes(range(251)) * (size // 251 + 1)
        assert server.call("echo", method="POST", content=body[:size]).content == body[:size], size


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_spoken(server, certificate, version):
    with connect(server, context_for(certificate, minimum_version=version, maximum_version=version)) as wrapped:
        name, _, bits = wrapped.cipher()
        assert ("GCM" in name or "CHACHA20" in name) and bits >= 128
        wrapped.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert wrapped.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1", "-cipher=AES128-SHA", "-cipher=ECDHE-ECDSA-AES128-SHA"])
def test_old_versions_and_weak_ciphers_are_not(server, option):
    arguments = option.split("=")
    if arguments[0] == "-cipher":
        arguments = ["-tls1_2", "-cipher", arguments[1] + ":@SECLEVEL=0"]
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address, *arguments], input=b"", capture_output=True, timeout=20
    )  # fmt: skip
    assert done.returncode != 0 or b"Cipher is (NONE)" in done.stdout


def test_an_application_protocol_that_is_unknown_is_refused(server, certificate):
    context = context_for(certificate)
    context.set_alpn_protocols(["spdy/1"])
    with pytest.raises(ssl.SSLError):
        connect(server, context).close()


def test_plain_text_and_nonsense_get_no_answer_of_http(server):
    for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 1000):
        with socket.create_connection(server.address, 10) as plain:
            plain.sendall(sent)
            received = b""
            try:
                while part := plain.recv(65536):
                    received += part
            except ConnectionError:
                pass
            assert b"HTTP/" not in received
    assert server.client.get("/healthz").status_code == 200


def test_a_handshake_has_a_deadline(server):
    silent = [socket.create_connection(server.address, 10) for _ in range(200)]
    silent[0].sendall(b"\x16\x03\x01\x02\x00\x01")
    assert server.client.get("/healthz").status_code == 200
    for each in silent:
        with each:
            assert each.recv(1) == b""


def test_many_handshakes_at_a_time(server, certificate):
    def call(number):
        with httpx.Client(verify=str(certificate.certificate), trust_env=False, timeout=60) as client:
            return client.post(server.url + invoke_path("echo"), content=b"%d" % number).content

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(call, range(100))) == [b"%d" % number for number in range(100)]


def test_a_renewed_certificate_is_taken_and_drops_nothing(start_server, tmp_path):
    used = certificates.make(tmp_path, "used")
    first, second = certificates.make(tmp_path, "first"), certificates.make(tmp_path, "second")
    used.replace_by(first)
    server = start_server(*used.options(), ca=used.certificate)
    with connect(server, context_for(first)) as old:

        def ask():
            old.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            return old.recv(65536).startswith(b"HTTP/1.1 200")

        assert ask()
        used.key.write_bytes(second.key.read_bytes())  # a key that is not the certificate's: the old pair stays
        eventually(lambda: "the changed certificate is not used" in server.log(), 20)
        connect(server, context_for(first)).close()
        used.replace_by(second)

        def is_new():
            try:
                connect(server, context_for(second)).close()
            except ssl.SSLError:
                return False
            return True

        eventually(is_new, 20)
        assert ask(), "connections that are open stay"
        with pytest.raises(ssl.SSLError):
            connect(server, context_for(first)).close()


def test_files_that_would_block_are_refused_and_hold_up_nobody(start_server, tmp_path):
    used, first = certificates.make(tmp_path, "used"), certificates.make(tmp_path, "first")
    used.replace_by(first)
    server = start_server(*used.options(), ca=used.certificate)
    for file in (used.key, used.certificate):
        kept = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        eventually(lambda path=file: f"{path} cannot be used: it is no regular file" in server.log(), 20)
        connect(server, context_for(first)).close()
        file.unlink()
        file.write_bytes(b"#" * (1 << 20) + kept)
        eventually(lambda path=file: f"{path} cannot be used: it is larger than 1 MiB" in server.log(), 20)
        connect(server, context_for(first)).close()
        file.write_bytes(kept)
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", first.key, "-out", tmp_path / "locked.key"], check=True, capture_output=True
    )
    warned = server.log().count("the changed certificate is not used")
    used.key.write_bytes((tmp_path / "locked.key").read_bytes())
    eventually(lambda: server.log().count("the changed certificate is not used") > warned, 20)
    connect(server, context_for(first)).close()


def test_what_cannot_be_used_is_told_at_the_start(tmp_path, certificate):
    other = certificates.make(tmp_path, "other")
    serve = [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--auth", "none", "--data-dir", str(tmp_path / "data")]
    for options, expected in (
        (["--tls-cert", str(certificate.certificate)], "HTTPS needs both"),
        (["--tls-cert", str(certificate.certificate), "--tls-key", str(other.key)], "key values mismatch"),
        (["--tls-cert", "/nowhere.pem", "--tls-key", str(other.key)], "/nowhere.pem cannot be used"),
    ):
        done = subprocess.run([*serve, *options], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and expected in done.stderr, done.stderr


def test_the_first_administrator_is_told_the_https_address(tmp_path, certificate):
    server = Server(tmp_path / "data", *certificate.options(), auth="oauth2", ca=certificate.certificate).start()
    assert f"sterna login --url {server.url} --client-id" in server.log()
    server.stop()


def test_the_command_line_checks_the_certificate(server, certificate, tmp_path):
    cli = Cli(server.url, tmp_path)
    assert cli.json("get", "echo", "--ca-file", certificate.certificate)["name"] == "echo"
    done = cli.run("get", "echo")
    assert done.returncode == 3 and "--ca-file" in done.stderr
