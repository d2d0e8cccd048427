"""What a build has installed for the function, beside its own code."""

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
    _forget_others({entry.partition(".")[0] for entry in os.listdir(folder)})


def _forget_others(names):
    """The zygote has imported the machine's werkzeug; a function that brings its own wants that one."""
    names -= sys.stdlib_module_names
    for name in list(sys.modules):
        if name.partition(".")[0] in names:
            del sys.modules[name]
