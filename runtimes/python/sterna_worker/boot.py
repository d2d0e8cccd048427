"""The life of a worker: descriptors, INIT, environment, handler, serving, the end."""

import asyncio
import atexit
import contextlib
import gc
import json
import os
import sys
import threading
import time

import _sterna

from . import answers, failures, load, logs, packages, parent, serve_async, serve_sync, serve_threads

READY = 16
LOAD_FAILED = 17
PAUSED = 23

EXIT_LOAD_FAILED = 1
EXIT_BROKEN_LOOP = 1
EXIT_BROKEN_STREAM = 70
MAX_ATEXIT_SECONDS = 2

RUNTIME = "python {}.{}.{}".format(*sys.version_info)

_PATH = "/usr/local/bin:/usr/bin:/bin"
# Debian's packages run on every Python 3; an interpreter that has no werkzeug of its own takes it from
# there.
_DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"


def _configure():
    try:
        from werkzeug import datastructures
    except ModuleNotFoundError:
        sys.path.append(_DEBIAN_PACKAGES)
        from werkzeug import datastructures

        sys.path.remove(_DEBIAN_PACKAGES)
    _sterna.configure(
        datastructures.Headers, datastructures.ImmutableMultiDict, answers.encode_json
    )


_configure()


def _use_classes_of_the_function():
    """A function that has imported a werkzeug of its own knows the objects of that one."""
    theirs = sys.modules.get("werkzeug.datastructures")
    headers, query = (getattr(theirs, name, None) for name in ("Headers", "ImmutableMultiDict"))
    if isinstance(headers, type) and isinstance(query, type):
        _sterna.configure(headers, query, answers.encode_json)


def _import_what_comes_late():
    """What Python's modules import in the middle of the work that they do for us: a module of the function may have
    taken the name by then."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: F401

    asyncio.new_event_loop().close()


_import_what_comes_late()


def run(socket_fd, claim_fd, orders_fd=-1):
    """Serves one function in this process and ends the process. Descriptors 0 to 2 are set up already.
    With `orders_fd` the worker may pause and be forked."""
    worker = Worker(_sterna.Channel(socket_fd, claim_fd), orders_fd)
    code = worker.serve()
    if os.getpid() == worker.pid:
        _run_exit_hooks()
        worker.channel.end_lines()
    os._exit(code)


class Worker:
    def __init__(self, channel, orders_fd=-1):
        self.channel = channel  # a replica has another one than its parent
        self.pid = os.getpid()
        self._orders_fd = orders_fd
        self._streams = ()

    def serve(self):
        """From INIT to the end; answers the exit code."""
        self._streams = logs.replace_streams(self.channel)
        init = self._read_init()
        if init is None:
            return 0
        _set_up_environment(init)
        for file, why in _set_up_imports(init["bundle"]):
            text = f"{os.path.relpath(file, init['bundle'])} is never imported: {why}; rename it\n"
            self.channel.log(0, logs.PLATFORM, text.encode("utf-8", "backslashreplace"))
        try:
            init, ready = self._load(init)
            serve = None if init is None else self._prepare_to_serve(init, ready["async"])
        except load.LoadError as error:
            _send_json(
                self.channel, LOAD_FAILED, {"summary": error.summary, "detail": error.detail}
            )
            return EXIT_LOAD_FAILED
        if init is None:
            self.pid = None  # a parent that ends: the exit hooks are its replicas'
            return 0
        _send_json(self.channel, READY, ready)
        return _serve_calls(serve)

    def _read_init(self):
        text = self.channel.read_init()
        return None if text is None else json.loads(text)

    def _load(self, init):
        """(INIT, READY) of this worker or of the replica that it has become; INIT is None when a paused
        worker shall end. Raises LoadError."""
        pause_after = init.get("pause_after_ms")
        before = parent.Opened() if pause_after is not None else None
        began = time.monotonic()
        self._handler = handler = load.load_handler(init["bundle"], init["handler"])
        _use_classes_of_the_function()
        slow = pause_after is not None and (time.monotonic() - began) * 1000 >= pause_after
        logs.configure_logging()
        ready = {"runtime": RUNTIME, "async": handler.is_async}
        gc.freeze()  # what was loaded stays: later collections need not look at it
        if slow:
            handler.call_hook("before_fork")
            why_not = parent.obstacle(before, self._orders_fd)
            if why_not is None:
                init = self._pause(init, before)
            else:
                ready["not_paused"] = why_not
        self._close_orders()
        gc.enable()
        if init is not None:
            handler.call_hook("after_fork")
        return init, ready

    def _pause(self, init, before):
        _send_json(self.channel, PAUSED, {"runtime": RUNTIME})
        folder = _working_folder(init)
        descriptors = parent.wait(self.channel, self._orders_fd)
        if descriptors is None:
            return None
        socket_fd, claim_fd, output_fd = descriptors
        os.close(output_fd)  # it is standard output and error already
        self._orders_fd = -1
        self.pid = os.getpid()
        self.channel = _sterna.Channel(socket_fd, claim_fd)
        logs.redirect_streams(self._streams, self.channel)
        os.chdir(folder)  # joining a mount namespace has led to its root
        parent.reopen_files(before)
        parent.reseed()
        init = self._read_init()
        if init is not None:
            os.environ["STERNA_INSTANCE"] = init["instance"]
        return init

    def _close_orders(self):
        if self._orders_fd >= 0:
            os.close(self._orders_fd)
            self._orders_fd = -1

    def _prepare_to_serve(self, init, is_async):
        """What serves the calls, to be called; raises LoadError."""
        concurrency = init.get("async_concurrency" if is_async else "concurrency", 1)
        channel, handle = self.channel, self._handler.handle
        if is_async:
            _count_calls_with(self._streams, serve_async.current_call.get)
            server = serve_async.AsyncServer(channel, handle, concurrency)
            return lambda: _run_loop(server)
        if concurrency > 1:
            _count_calls_with(self._streams, serve_threads.current_call.get)
            return serve_threads.ThreadServer(channel, handle, concurrency).serve
        return lambda: serve_sync.serve(channel, handle)


def _run_loop(server):
    # Not asyncio.run, which waits for threads of user code at the end.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(server.serve())


def _serve_calls(serve):
    try:
        serve()
    except ConnectionError as error:
        os.write(
            2, f"sterna: the connection to the server broke: {error}\n".encode("utf-8", "replace")
        )
        return EXIT_BROKEN_STREAM
    except (Exception, SystemExit) as error:  # user code has stopped the event loop, or a task of its own exits
        os.write(2, failures.traceback_of(error).encode("utf-8", "backslashreplace"))
        return error.code if isinstance(getattr(error, "code", None), int) else EXIT_BROKEN_LOOP
    return 0


def _count_calls_with(streams, current_call):
    for stream in streams:
        stream.buffer.current_call = current_call


def _working_folder(init):
    try:
        return os.getcwd()
    except FileNotFoundError:  # the import has removed it
        return init["bundle"]


def _set_up_environment(init):
    """User code sees the function's environment only, nothing of ours."""
    ours = {
        f"STERNA_{name.upper()}": str(init.get(name, ""))
        for name in ("space", "function", "version", "instance")
    }
    os.environ.clear()
    os.environ.update({"PATH": _PATH, "HOME": "/tmp", "LANG": "C.UTF-8"})
    os.environ.update(init.get("env", {}))
    os.environ.update(ours)
    if "TZ" in os.environ:
        time.tzset()
    sys.dont_write_bytecode = True
    sys.argv = [init["handler"]]
    os.chdir(init["bundle"])


def _set_up_imports(bundle):
    """Answers what of the function cannot be imported, as packages.prefer does."""
    sys.path[0] = bundle
    packages.add(bundle)
    unused = packages.add_path(bundle, os.environ.get("PYTHONPATH", ""))
    return unused + packages.prefer(bundle)


def _send_json(channel, kind, value):
    # Shorter than with escapes: the server reads 512 KiB.
    channel.send(kind, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _run_exit_hooks():
    """What user code registered with atexit, for a bounded time."""
    guard = threading.Timer(MAX_ATEXIT_SECONDS, os._exit, (0,))
    guard.daemon = True
    with contextlib.suppress(RuntimeError):  # limits.max_pids; the server does not wait for ever
        guard.start()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
