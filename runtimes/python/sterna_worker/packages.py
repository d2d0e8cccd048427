"""What is importable beside the function's own code: what a build has installed, and the folders of
PYTHONPATH."""

import os
import site
import sys

FOLDER = "python_packages"


def add(bundle):
    """Makes the packages in the bundle importable: after the function's own modules, before the machine's."""
    folder = os.path.join(bundle, FOLDER)
    if not os.path.isdir(folder):
        return
    before = list(sys.path)
    site.addsitedir(folder)  # .pth files in it count
    added = [path for path in sys.path if path not in before]
    sys.path[:] = before[:1] + added + before[1:]
    _forget_others(folder)


def add_path(bundle, path):
    """PYTHONPATH of the function, as an interpreter takes it that starts in the bundle: before all but the function's
    own modules."""
    folders = [os.path.normpath(os.path.join(bundle, each)) for each in path.split(os.pathsep) if each]
    sys.path[1:1] = folders
    for folder in folders:
        _forget_others(folder)


def _forget_others(folder):
    """The zygote has imported the machine's werkzeug; a function that brings its own wants that one."""
    try:
        entries = os.listdir(folder)
    except OSError:  # an archive, or nothing
        return
    names = {entry.partition(".")[0] for entry in entries} - sys.stdlib_module_names
    for name in list(sys.modules):
        if name.partition(".")[0] in names:
            del sys.modules[name]
