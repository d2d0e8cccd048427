"""The Python part of Sterna's worker: start-up, loading, odd answers, logs. The native part is
`_sterna`."""

import importlib.machinery
import os
import sys
import types

# The folder of these files is the server's business: tracebacks of user code and what faulthandler writes name
# them like this.
FILES = "<sterna>/"


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        return _rename(super().get_code(fullname), FILES + os.path.basename(self.path))


def _rename(code, file_name):
    constants = (
        _rename(each, file_name) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
    )
    return code.replace(co_filename=file_name, co_consts=tuple(constants))


class _Finder:
    """Of the modules of this package, `__main__` too."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith(__name__ + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder)
