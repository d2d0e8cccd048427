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

from . import answers, load, logs, serve_async, serve_sync, serve_threads

READY = 16
LOAD_FAILED = 17

EXIT_LOAD_FAILED = 1
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


def run(socket_fd, claim_fd):
    """Serves one function in this process and ends the process. Descriptors 0 to 2 are set up
    already."""
    pid = os.getpid()
    channel = _sterna.Channel(socket_fd, claim_fd)
    code = serve(channel)
    if os.getpid() == pid:
        _run_exit_hooks()
        channel.end_lines()
    os._exit(code)


def serve(channel):
    """From INIT to the end; answers the exit code."""
    streams = logs.replace_streams(channel, channel.current_call)
    text = channel.read_init()
    if text is None:
        return 0
    init = json.loads(text)
    _set_up_environment(init)
    try:
        handle, is_async = load.load_handler(init["bundle"], init["handler"])
    except load.LoadError as error:
        _send_json(channel, LOAD_FAILED, {"summary": error.summary, "detail": error.detail})
        return EXIT_LOAD_FAILED
    logs.configure_logging()
    gc.freeze()  # what was loaded stays: later collections need not look at it
    gc.enable()
    _send_json(channel, READY, {"runtime": RUNTIME, "async": is_async})
    concurrency = init.get("async_concurrency" if is_async else "concurrency", 1)
    return _serve_calls(channel, streams, handle, is_async, concurrency)


def _serve_calls(channel, streams, handle, is_async, concurrency):
    try:
        if is_async:
            _count_calls_with(streams, serve_async.current_call.get)
            # Not asyncio.run, which waits for threads of user code at the end.
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve_async.AsyncServer(channel, handle, concurrency).serve())
        elif concurrency > 1:
            _count_calls_with(streams, serve_threads.current_call.get)
            serve_threads.ThreadServer(channel, handle, concurrency).serve()
        else:
            serve_sync.serve(channel, handle)
    except ConnectionError as error:
        os.write(
            2, f"sterna: the connection to the server broke: {error}\n".encode("utf-8", "replace")
        )
        return EXIT_BROKEN_STREAM
    return 0


def _count_calls_with(streams, current_call):
    for stream in streams:
        stream.buffer.current_call = current_call


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
    sys.path[0] = init["bundle"]
    os.chdir(init["bundle"])


def _send_json(channel, kind, value):
    channel.send(kind, json.dumps(value).encode())


def _run_exit_hooks():
    """What user code registered with atexit, for a bounded time."""
    guard = threading.Timer(MAX_ATEXIT_SECONDS, os._exit, (0,))
    guard.daemon = True
    guard.start()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
