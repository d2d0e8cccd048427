"""House rules that a machine can check: file endings, banned calls, words left open, paths of one's own machine.

    python3 tests/check_source.py [ROOT]

Prints each violation as file:line and exits 1 when there is one.
"""

import ast
import pathlib
import re
import subprocess
import sys

TEXT_SUFFIXES = {".cc", ".h", ".py", ".md", ".txt", ".cmake", ".toml", ".json", ".yml", ".js", ".mjs", ".sh", ""}
# Built so that the pattern does not match itself.
WORKPLACE = re.compile(r"/(wor[k]|far[m])/[a-z.]|far[m]-(studio|bench)|bash_job[s]")
LEFT_OPEN = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")
COMMENTS_AND_STRINGS = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"', re.DOTALL)

# The zygote lives inside an interpreter, where the server's log is not set up.
MAY_PRINT = ("src/cli/", "src/main/", "src/zygote/", "src/base/error.cc", "bench/")

# Pattern, why, and where it is allowed all the same.
BANNED_CPP = [
    (r"(?<![\w.>:])(?:std::|::)?system\s*\(", "no shell: start programs with posix_spawn and their arguments", ()),
    (r"(?<![\w.>:])(?:std::|::)?s?rand\s*\(", "rand() is not random: use base/ulid.h or getrandom", ()),
    (r"(?<![\w.>:])(?:std::|::)?f?printf\s*\(", "the server speaks through base/log.h", MAY_PRINT),
    (r"(?<![\w.>])u?sleep(_for|_until)?\s*\(", "tests poll with a deadline or move a ManualClock", None),
]
# The places of a Python test suite that may sleep: between two looks of a poll with a deadline.
POLLING = re.compile(r"^(_?eventually|_?wait_\w+|_?poll\w*)$")


def tracked_files(root):
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True,
    )  # fmt: skip
    for name in listed.stdout.decode().split("\0"):
        path = root / name
        if name and path.is_file() and path.suffix in TEXT_SUFFIXES and path.name != "LICENSE":
            yield path


def blank(match):
    """What is cut keeps its line breaks, so that line numbers stay true."""
    return "\n" * match[0].count("\n")


def is_allowed(name, places):
    """`places` None: the call is only banned in tests."""
    if places is None:
        return not name.endswith("_test.cc")
    return name.startswith(places)


def check_cpp(name, text):
    code = COMMENTS_AND_STRINGS.sub(blank, text)
    for pattern, why, places in BANNED_CPP:
        if is_allowed(name, places):
            continue
        for match in re.finditer(pattern, code):
            yield f"{name}:{code.count(chr(10), 0, match.start()) + 1}: {match[0].strip()}...): {why}"


def check_python_sleeps(name, text):
    """Calls of sleep in a test module, outside polling helpers; source of handlers in strings is not looked at."""

    def visit(node, polling):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            polling = polling or POLLING.match(node.name)
        called = node.func if isinstance(node, ast.Call) else None
        called_name = getattr(called, "attr", getattr(called, "id", None))
        if called_name == "sleep" and not polling:
            yield f"{name}:{node.lineno}: sleep in a test: poll with a deadline (a helper named eventually or wait_...)"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, polling)

    yield from visit(ast.parse(text), None)


def check_text(name, text):
    if text and not text.endswith("\n"):
        yield f"{name}:{text.count(chr(10)) + 1}: the file does not end with a newline"
    for number, line in enumerate(text.splitlines(), 1):
        if WORKPLACE.search(line):
            yield f"{name}:{number}: a path of one machine"
        if LEFT_OPEN.search(line):
            yield f"{name}:{number}: left open; do it or file an issue"


def violations(root):
    for path in tracked_files(root):
        name = path.relative_to(root).as_posix()
        text = path.read_text(errors="replace")
        yield from check_text(name, text)
        if path.suffix in (".cc", ".h"):
            yield from check_cpp(name, text)
        if path.suffix == ".py" and (path.name.startswith("test_") or path.name == "conftest.py"):
            yield from check_python_sleeps(name, text)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]).resolve()
    found = list(violations(root))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
