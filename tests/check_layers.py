"""Arrows only point down: a folder of src/ includes and links only folders of a lower level.

    python3 tests/check_layers.py [ROOT]

Prints each violation as file:line and exits 1 when there is one. The levels are explained in docs/ARCHITECTURE.md.
"""

import pathlib
import re
import sys

LEVELS = {
    "base": 0,
    "wire": 1, "store": 1, "net": 1, "sandbox": 1, "api": 1, "logs": 1, "auth": 1,
    "registry": 2, "queue": 2, "pool": 2, "zygote": 2, "callback": 2, "audit": 2,
    "worker": 2,  # runtimes/worker, which all runtimes share
    "bundle": 3, "invoke": 3, "launch": 3,
    "build": 4, "dispatch": 4, "trigger": 4, "gateway": 4,
    "server": 5, "cli": 5,
    "main": 6,
}  # fmt: skip
RUNTIME_LEVEL = 3  # the native part of a runtime stands beside bundle/ and invoke/

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
LIBRARY = re.compile(r"\bsterna_library\(\s*(\w+)([^)]*)\)")
LINK = re.compile(r"\btarget_link_libraries\(\s*sterna_(\w+)([^)]*)\)")


def level_of(folder):
    return RUNTIME_LEVEL if folder == "runtimes" else LEVELS.get(folder)


def check_arrow(place, user, used):
    """Answers the violation of `user` using `used`, both names of folders, or None."""
    if user == used:
        return None
    if level_of(user) is None:
        return f"{place}: folder {user} has no level; add it to tests/check_layers.py and docs/ARCHITECTURE.md"
    if level_of(used) is None:
        return f"{place}: {used} is not a folder of src/; write #include \"folder/file.h\""
    if level_of(used) >= level_of(user):
        return f"{place}: {user} (level {level_of(user)}) may not use {used} (level {level_of(used)})"
    return None


def folder_of(path, root):
    parts = path.relative_to(root).parts
    return "runtimes" if parts[0] == "runtimes" and parts[1] != "worker" else parts[1]


def included_folder(path, included, root):
    """The folder that an included file is in."""
    for base in (path.parent, root / "runtimes", root / "runtimes/native/include"):
        if path.is_relative_to(root / "runtimes") and (base / included).exists():
            return folder_of(base / included, root)
    return included.split("/")[0]


def check_includes(path, root):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := INCLUDE.match(line):
            yield check_arrow(
                f"{path.relative_to(root)}:{number}", folder_of(path, root), included_folder(path, match[1], root)
            )


def check_links(path, root):
    text = path.read_text()
    for match in [*LIBRARY.finditer(text), *LINK.finditer(text)]:
        user = match[1].removesuffix("_test")
        user = user if user in LEVELS else folder_of(path, root)
        number = text.count("\n", 0, match.start()) + 1
        for used in re.findall(r"\bsterna_(\w+)", match[2]):
            if used in LEVELS:
                yield check_arrow(f"{path.relative_to(root)}:{number}", user, used)


def violations(root):
    for top in ("src", "runtimes"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".cc", ".h") and "node_modules" not in path.parts:
                yield from filter(None, check_includes(path, root))
            elif path.name == "CMakeLists.txt":
                yield from filter(None, check_links(path, root))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]).resolve()
    found = list(violations(root))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
