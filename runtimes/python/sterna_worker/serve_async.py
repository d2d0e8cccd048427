"""Serves an async handler: every call is a task of one event loop; answers that are ready in one turn
leave in one write."""

import asyncio
import collections
import contextvars
import os
import time

import _sterna

from . import answers, beside, failures, sending

current_call = contextvars.ContextVar("sterna_call", default=0)


class Window:
    """How much of a call's body may be sent."""

    def __init__(self, flush, threads):
        self.flush = flush
        self.threads = threads
        self._bytes = sending.MAX_PART
        self.has_begun = False
        self._cancelled = False
        self._waiter = None

    def add(self, count):
        self._bytes += count
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cancel(self):
        self._cancelled = True

    def is_cancelled(self):
        return self._cancelled

    async def take_window(self, wanted):
        while not self._bytes:
            self.flush()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        granted = min(wanted, self._bytes)
        self._bytes -= granted
        return granted


class AsyncServer:
    def __init__(self, channel, handle, concurrency):
        self._channel = channel
        self._handle = handle
        self._concurrency = concurrency
        self._waiting = (
            collections.OrderedDict()
        )  # call -> (slot, event); the server sends at most one a slot
        self._running = {}  # call -> (task, Window)
        self._flush_planned = False
        self._stopping = False

    async def serve(self):
        """Until SHUTDOWN, when all calls that came have ended, or until the server is gone."""
        self._loop = asyncio.get_running_loop()
        self._loaded = contextvars.copy_context()
        self._threads = beside.Threads(self._loop, self._concurrency)
        self._ended = self._loop.create_future()
        self._loop.add_reader(self._channel.fileno(), self._read)
        self._loop.call_soon(self._read)  # INIT may have brought the first requests along
        await self._ended

    def _end(self, error=None):
        if self._ended.done():
            return
        if not self._channel.is_closed():
            self._loop.remove_reader(self._channel.fileno())
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    def _read(self):
        try:
            arrived = self._channel.receive(False)
        except ConnectionError as error:  # the stream is broken
            self._end(error)
            return
        if arrived is None:
            self._end()
            return
        for kind, call, slot, value in arrived:
            self._take_in(kind, call, slot, value)
        self._start_waiting()

    def _take_in(self, kind, call, slot, value):
        if kind == _sterna.REQUEST:
            self._waiting[call] = (slot, value)
        elif kind == _sterna.WINDOW:
            if call in self._running:
                self._running[call][1].add(value)
        elif kind == _sterna.CANCEL_UNSTARTED or (
            kind == _sterna.CANCEL and self._waiting.pop(call, None)
        ):
            failures.fail(self._channel, call, slot, failures.KIND_CANCELLED, 0, "cancelled")
            self._flush_soon()
        elif kind == _sterna.CANCEL:
            if call in self._running:
                task, window = self._running[call]
                window.cancel()
                if window.has_begun:  # else it would end without a word
                    task.cancel()
        elif kind == _sterna.SHUTDOWN:
            self._stopping = True

    def _start_waiting(self):
        while self._waiting and len(self._running) < self._concurrency:
            call, (slot, event) = self._waiting.popitem(last=False)
            if not self._channel.claim(call, slot):
                self._flush_soon()
                continue
            window = Window(self._flush_soon, self._threads)
            # This may be the end of another call, whose context variables are its own.
            task = self._loaded.copy().run(self._begin, call, slot, event, window)
            self._running[call] = (task, window)
        if self._stopping and not self._running and not self._waiting:
            self._channel.flush()
            self._end()

    def _begin(self, call, slot, event, window):
        current_call.set(call)  # the task copies the context
        # Not by the loop: a task factory of user code could begin it before it is known here.
        return asyncio.Task(self._run(call, slot, event, window), loop=self._loop)

    async def _run(self, call, slot, event, window):
        started = time.monotonic_ns()
        window.has_begun = True
        try:
            if window.is_cancelled():
                raise sending.Cancelled
            answer = await self._handle(event)
        except BaseException as error:
            failure = sending.Cancelled() if window.is_cancelled() else error
            sending.end_badly(self._channel, call, slot, time.monotonic_ns() - started, failure)
        else:
            run_ns = time.monotonic_ns() - started
            if not self._channel.answer(call, slot, run_ns, answer):
                await self._finish(call, slot, run_ns, answer, window)
        if (
            self._channel.is_closed()
        ):  # the server is gone, or the handler forked and this is the child
            os._exit(0)
        del self._running[call]
        self._flush_soon()
        self._start_waiting()

    async def _finish(self, call, slot, run_ns, answer, window):
        try:
            read = answers.read_answer(answer)
        except (
            BaseException
        ) as error:  # BadAnswer, or an object of user code that breaks when it is looked at
            sending.end_badly(self._channel, call, slot, run_ns, error)
        else:
            await sending.send_async(self._channel, call, slot, run_ns, read, window)

    def _flush_soon(self):
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self):
        self._flush_planned = False
        if not self._channel.try_flush() and not self._channel.is_closed():
            self._loop.add_writer(self._channel.fileno(), self._flush_rest)

    def _flush_rest(self):
        if self._channel.is_closed() or self._channel.try_flush():
            self._loop.remove_writer(self._channel.fileno())
