"""What is importable: the function's own modules, the folders of PYTHONPATH, what a build has installed. The zygote has
imported much already; what of it they bring themselves is forgotten, so that an import finds theirs."""

import importlib.machinery
import os
import site
import sys

FOLDER = "python_packages"

_OF_MACHINE = ("dist-packages", "site-packages")
# What an interpreter has when it starts, or in itself: it never takes these from a folder.
_OF_INTERPRETER = {
    *sys.builtin_module_names,
    *"_collections_abc _frozen_importlib _frozen_importlib_external _sitebuiltins".split(),
    *"abc codecs encodings genericpath io os posixpath site stat zipimport".split(),
}
_OF_RUNTIME = {"_sterna", __package__}

_forgotten = []  # modules that the runtime, and those of Python that it uses, go on working with


def add(bundle):
    """Makes the packages in the bundle importable: as an interpreter has them, after its own modules and before the
    machine's packages."""
    folder = os.path.join(bundle, FOLDER)
    if not os.path.isdir(folder):
        return
    before = list(sys.path)
    site.addsitedir(folder)  # .pth files in it count
    added = [path for path in sys.path if path not in before]
    at = next((at for at, path in enumerate(before) if path.endswith(_OF_MACHINE)), len(before))
    sys.path[:] = before[:at] + added + before[at:]
    prefer(folder, sys.stdlib_module_names)


def add_path(bundle, path):
    """PYTHONPATH of the function, as an interpreter takes it that starts in the bundle: before all but the function's
    own modules. Answers like `prefer`."""
    folders = [os.path.normpath(os.path.join(bundle, each)) for each in path.split(os.pathsep) if each]
    sys.path[1:1] = folders
    return [unused for folder in folders for unused in prefer(folder)]


def prefer(folder, but=frozenset()):
    """Forgets the modules that this folder has too, but for some names. Answers (file, why) of those in the folder that
    nothing will ever import."""
    unused = []
    forgotten = set()
    for name in _names_in(folder) - {"__main__", *but}:
        fixed = name in _OF_INTERPRETER or name in _OF_RUNTIME
        if name not in sys.modules and not fixed:
            continue
        spec = importlib.machinery.PathFinder.find_spec(name, [folder])
        if spec is None or not spec.has_location:  # a folder with other things in it
            continue
        if name in _OF_RUNTIME:
            unused.append((spec.origin, "Sterna's runtime has a module of that name"))
        elif fixed or importlib.machinery.FrozenImporter.find_spec(name):
            unused.append((spec.origin, "that module is part of the interpreter"))
        else:
            forgotten.add(name)
    if forgotten:
        for name in [name for name in sys.modules if name.partition(".")[0] in forgotten]:
            _forgotten.append(sys.modules.pop(name))
    return unused


def _names_in(folder):
    try:
        return {entry.partition(".")[0] for entry in os.listdir(folder)}
    except NotADirectoryError:  # an archive
        return {name for name in sys.modules if "." not in name}
    except OSError:  # nothing
        return set()
