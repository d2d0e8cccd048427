"""The checks of check_layers.py and check_source.py find what they are for, and pass on good code."""

import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def tree(tmp_path):
    """A small project in git; answers a function that adds a file."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    def add(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    add.root = tmp_path
    return add


def check(script, root):
    done = subprocess.run([sys.executable, HERE / script, root], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout.splitlines()


def test_lower_levels_may_be_used(tree):
    tree("src/pool/pool.cc", '#include "pool/pool.h"\n#include "wire/frame.h"\n#include <vector>\n')
    tree("src/pool/CMakeLists.txt", "sterna_library(pool SOURCES pool.cc LINKS sterna_wire Boost::headers TESTS a_test.cc)\n")
    tree("runtimes/python/native/module.cc", '#include "wire/frame.h"\n')
    assert check("check_layers.py", tree.root) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("src/wire/a.cc", '#include "pool/pool.h"\n', "src/wire/a.cc:1: wire (level 1) may not use pool (level 2)"),
        ("src/wire/a.cc", '\n#include "store/db.h"\n', "src/wire/a.cc:2: wire (level 1) may not use store (level 1)"),
        ("src/base/a_test.cc", '#include "wire/frame.h"\n', "base (level 0) may not use wire"),
        ("src/util/a.h", '#include "base/error.h"\n', "folder util has no level"),
        ("src/wire/a.cc", '#include "frame.h"\n', "frame.h is not a folder of src/"),
        ("src/wire/CMakeLists.txt", "sterna_library(wire SOURCES a.cc\n  LINKS sterna_pool)\n", "wire (level 1) may not use pool"),
        ("src/pool/CMakeLists.txt", "target_link_libraries(sterna_pool_test PRIVATE sterna_gateway)\n", "pool (level 2) may not use gateway"),
        ("runtimes/python/module.cc", '#include "gateway/route.h"\n', "runtimes (level 3) may not use gateway"),
    ],
)
def test_a_wrong_arrow_is_found(tree, name, text, words):
    tree(name, text)
    found = check("check_layers.py", tree.root)
    assert len(found) == 1
    assert words in found[0]


def test_good_source_passes(tree):
    tree("src/wire/a.cc", '// system("no") stands in a comment\nconst char* kText = "rand()";\nout.printf("x");\n')
    tree("src/cli/a.cc", 'std::printf("x");\n')
    tree("tests/e2e/test_a.py", 'HANDLER = "time.sleep(9)"\n\n\ndef eventually():\n    time.sleep(0.01)\n')
    assert check("check_source.py", tree.root) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("src/wire/a.cc", "int a;", "src/wire/a.cc:1: the file does not end with a newline"),
        ("src/wire/a.cc", '/* a\n */ std::system("ls");\n', "src/wire/a.cc:2: std::system(...): no shell"),
        ("src/wire/a.cc", "int a = rand();\n", "rand(...)"),
        ("src/wire/a.cc", 'printf("x");\n', "printf(...): the server speaks through base/log.h"),
        ("src/wire/a_test.cc", "std::this_thread::sleep_for(1s);\n", "tests poll with a deadline"),
        ("tests/e2e/test_a.py", "def test_a():\n    time.sleep(1)\n", "tests/e2e/test_a.py:2: sleep in a test"),
        ("docs/a.md", "see /wor" + "k/main\n", "docs/a.md:1: a path of one machine"),
        ("src/wire/a.h", "// TOD" + "O later\n", "left open"),
    ],
)
def test_a_broken_rule_is_found(tree, name, text, words):
    tree(name, text)
    found = check("check_source.py", tree.root)
    assert len(found) == 1
    assert words in found[0]
