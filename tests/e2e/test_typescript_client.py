"""A TypeScript program against the server, typed by what the server itself says of its API."""

import pathlib
import shutil
import subprocess

import pytest

from sterna import ROOT

FOLDER = ROOT / "tests/typescript"


@pytest.fixture(scope="module")
def program(server, tmp_path_factory):
    """client.ts, compiled against the types that openapi-typescript makes of the running server's document."""
    assert (FOLDER / "node_modules").is_dir(), "run scripts/install-deps test"
    folder = tmp_path_factory.mktemp("client")
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}\n')
    for name in ("client.ts", "tsconfig.json"):
        shutil.copy(FOLDER / name, folder)
    run(folder, "openapi-typescript", f"{server.url}/openapi.json", "--default-non-nullable=false", "-o", "sterna.ts")
    run(folder, "tsc", "-p", ".")
    return folder / "client.js"


def run(folder, tool, *arguments):
    done = subprocess.run(
        [FOLDER / "node_modules/.bin" / tool, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_typed_client_does_what_the_types_promise(server, program: pathlib.Path):
    done = subprocess.run(["node", program, server.url], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all is as the types say\n"


def test_the_types_refuse_what_the_api_would(program: pathlib.Path):
    wrong = program.with_name("wrong.ts")
    wrong.write_text(program.with_suffix(".ts").read_text().replace("body: { version: 1 }", "body: { version: 'one' }"))
    with pytest.raises(AssertionError, match="number"):
        run(program.parent, "tsc", "-p", ".")
    wrong.unlink()
