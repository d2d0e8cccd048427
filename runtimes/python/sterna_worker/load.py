"""Finds the handler in a bundle; says what is wrong in words that help the author."""

import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types

from . import failures


class LoadError(Exception):
    """The function cannot be started. `summary` is one line that names file and line; `detail` is a
    traceback or empty."""

    def __init__(self, summary, detail=""):
        super().__init__(summary)
        self.summary = summary
        self.detail = detail


class Handler:
    """What a handler file offers."""

    def __init__(self, handle, is_async, module, bundle, file_name):
        self.handle = handle
        self.is_async = is_async
        self._module = module
        self._bundle = bundle
        self._file_name = file_name

    def call_hook(self, name):
        """Calls a function of the handler file that need not be there; raises LoadError."""
        hook = getattr(self._module, name, None)
        if hook is None:
            return
        if not callable(hook) or inspect.iscoroutinefunction(hook):
            raise LoadError(
                f"{_place(hook, self._file_name)}: `{name}` must be a plain function: define `def {name}()`"
            )
        try:
            hook()
        except BaseException as error:
            raise LoadError(
                f"{_place_of_error(error, self._bundle, self._file_name)}: `{name}` raised {failures.summary_of(error)}",
                failures.traceback_of(error),
            ) from None


def load_handler(bundle, file_name):
    """The Handler of the handler file in `bundle`; raises LoadError."""
    module = _import_file(bundle, file_name)
    name, handle = _find(module, file_name)
    is_async = inspect.iscoroutinefunction(handle) or inspect.iscoroutinefunction(
        getattr(handle, "__call__", None)
    )
    _check(name, handle, file_name)
    if name == "handle_async" and not is_async:
        raise LoadError(
            f"{_place(handle, file_name)}: `handle_async` is not async: write `async def handle_async(req)`"
        )
    return Handler(handle, is_async, module, bundle, file_name)


def _import_file(bundle, file_name):
    path = os.path.join(bundle, file_name)
    if not os.path.isfile(path):
        raise LoadError(
            f"{file_name} is missing: put a file {file_name} with `def handle(req)` into the function's folder"
        )
    name = os.path.splitext(os.path.basename(file_name))[0]
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise LoadError(
            f"{_place_of_error(error, bundle, file_name)}: the file ends the interpreter (exit code {error.code}) while it is "
            "imported: put programs under `if __name__ == '__main__':`",
            failures.traceback_of(error),
        ) from None
    except BaseException as error:
        raise LoadError(
            f"{_place_of_error(error, bundle, file_name)}: {failures.summary_of(error)}{_advice(error)}",
            failures.traceback_of(error),
        ) from None
    return module


def _find(module, file_name):
    for name in ("handle", "handle_async"):
        if hasattr(module, name):
            return name, getattr(module, name)
    raise LoadError(
        f"{file_name} has no function `handle`: define `def handle(req)` or `async def handle(req)`"
    )


def _check(name, handle, file_name):
    if not callable(handle):
        raise LoadError(
            f"{file_name}: `{name}` is {type(handle).__name__}, not a function: define `def {name}(req)`"
        )
    if inspect.isgeneratorfunction(handle) or inspect.isasyncgenfunction(handle):
        raise LoadError(
            f"{_place(handle, file_name)}: `{name}` is a generator itself: to stream, return {{'body': generator}} from it"
        )
    if _plainly_takes_one(handle):
        return
    try:
        signature = inspect.signature(handle)
    except (TypeError, ValueError):
        return  # written in C: it says so itself when it is called
    try:
        signature.bind(None)
    except TypeError:
        raise LoadError(
            f"{_place(handle, file_name)}: `{name}{signature}` cannot be called with one argument: define `def {name}(req)`"
        ) from None


def _plainly_takes_one(handle):
    """True for `def handle(req)`; spares most cold starts the work of inspect.signature."""
    code = getattr(handle, "__code__", None)
    return (
        type(handle) is types.FunctionType and code.co_argcount == 1 and not code.co_kwonlyargcount
    )


def _place(function, file_name):
    code = getattr(inspect.unwrap(function), "__code__", None)
    return file_name if code is None else f"{file_name}, line {code.co_firstlineno}"


def _place_of_error(error, bundle, file_name):
    """Where in the bundle it happened: the innermost frame there, or the line that cannot be parsed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_within(error.filename, bundle)}, line {error.lineno}"
    place = file_name
    trace = error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if _is_within(path, bundle):
            place = f"{_within(path, bundle)}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _is_within(path, bundle):
    return path.startswith(os.path.join(bundle, ""))


def _within(path, bundle):
    return os.path.relpath(path, bundle) if _is_within(path, bundle) else path


def _advice(error):
    if isinstance(error, ModuleNotFoundError):
        return (
            f": name what it belongs to in requirements.txt, or put {error.name} into the function's folder"
        )
    return ""
