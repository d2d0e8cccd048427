"""Serves a sync handler with several calls at the same time: this thread reads, others run calls. They
are started when calls come that no thread is free for."""

import collections
import contextvars
import os
import threading
import time

import _sterna

from . import failures, load, sending, serve_sync

current_call = contextvars.ContextVar("sterna_call", default=0)


class Window:
    """How much of a call's body may be sent; `changed` is the server's condition, which guards it."""

    def __init__(self, channel, changed):
        self._channel = channel
        self._changed = changed
        self._bytes = sending.MAX_PART
        self._cancelled = False

    def add(self, count):
        self._bytes += count
        self._changed.notify_all()

    def cancel(self):
        self._cancelled = True
        self._changed.notify_all()

    def is_cancelled(self):
        return self._cancelled

    def take_window(self, wanted):
        self._channel.flush()
        with self._changed:
            self._changed.wait_for(lambda: self._bytes or self._cancelled)
            if self._cancelled:
                return 0
            granted = min(wanted, self._bytes)
            self._bytes -= granted
            return granted


class ThreadServer:
    def __init__(self, channel, handle, concurrency):
        """Starts the first thread; raises LoadError when there cannot be one."""
        self._channel = channel
        self._handle = handle
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._waiting = (
            collections.OrderedDict()
        )  # call -> (slot, event); the server sends at most one a slot
        self._windows = {}  # call -> Window, of the calls that run
        self._stopping = False
        self._told = False
        self._threads = []
        self._loaded = contextvars.copy_context()
        if not self._start_thread():
            raise load.LoadError(
                f"limits.concurrency is {concurrency}, and not one thread can be started: raise limits.max_pids"
            )

    def serve(self):
        """Until SHUTDOWN, when all calls that came have ended, or until the server is gone."""
        while (arrived := self._channel.receive(True)) is not None:
            with self._changed:
                for kind, call, slot, value in arrived:
                    self._take_in(kind, call, slot, value)
                free = len(self._threads) - len(self._windows)
                wanted = min(len(self._waiting) - free, self._concurrency - len(self._threads))
            self._start_threads(wanted)
            self._channel.flush()
            if self._stopping:
                for thread in self._threads:
                    thread.join()
                return

    def _start_threads(self, wanted):
        while wanted > 0 and self._start_thread():
            wanted -= 1
        if wanted > 0 and not self._told:
            self._told = True
            text = (
                f"limits.concurrency is {self._concurrency}, and more than {len(self._threads)} threads cannot be "
                "started, so fewer calls run at a time: raise limits.max_pids\n"
            )
            self._channel.log(0, failures.STDERR, text.encode())

    def _start_thread(self):
        """False when the limits allow no other."""
        name = f"call-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads.append(thread)
        return True

    def _take_in(self, kind, call, slot, value):
        if kind == _sterna.REQUEST:
            self._waiting[call] = (slot, value)
            self._changed.notify_all()
        elif kind == _sterna.WINDOW:
            if call in self._windows:
                self._windows[call].add(value)
        elif kind == _sterna.CANCEL_UNSTARTED or (
            kind == _sterna.CANCEL and self._waiting.pop(call, None)
        ):
            failures.fail(self._channel, call, slot, failures.KIND_CANCELLED, 0, "cancelled")
        elif kind == _sterna.CANCEL:
            if call in self._windows:
                self._windows[call].cancel()
        elif kind == _sterna.SHUTDOWN:
            self._stopping = True
            self._changed.notify_all()

    def _work(self):
        while (taken := self._next_call()) is not None:
            call, slot, event, window = taken
            if self._channel.claim(call, slot):
                self._loaded.copy().run(self._run, call, slot, event, window)
                if (
                    self._channel.is_closed()
                ):  # the server is gone, or the handler forked and this is the child
                    os._exit(0)
            with self._changed:
                del self._windows[call]
            self._channel.flush()

    def _next_call(self):
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return None
            call, (slot, event) = self._waiting.popitem(last=False)
            window = self._windows[call] = Window(self._channel, self._changed)
            return call, slot, event, window

    def _run(self, call, slot, event, window):
        current_call.set(call)
        started = time.monotonic_ns()
        try:
            answer = self._handle(event)
        except BaseException as error:
            failures.fail_raised(self._channel, call, slot, time.monotonic_ns() - started, error)
            return
        run_ns = time.monotonic_ns() - started
        if not self._channel.answer(call, slot, run_ns, answer):
            serve_sync.finish_answer(self._channel, call, slot, run_ns, answer, window)
