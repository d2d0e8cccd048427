"""Threads beside an event loop, for code that may block. The loop's own are few, and names are looked up in them."""

import contextvars
import queue
import threading


class Threads:
    """At most `most`, started when work comes that none is free for. Used in the loop's thread."""

    def __init__(self, loop, most):
        self._loop = loop
        self._most = most
        self._work = queue.SimpleQueue()
        self._unfinished = 0
        self._threads = 0

    def run(self, function, *values):
        """A future of what `function` returns or raises, in a copy of the caller's context. Raises RuntimeError when
        limits.max_pids allows not even one thread."""
        if self._threads <= self._unfinished and self._threads < self._most:
            self._start_thread()
        future = self._loop.create_future()
        self._unfinished += 1
        self._work.put((future, contextvars.copy_context(), function, values))
        return future

    def _start_thread(self):
        thread = threading.Thread(target=self._serve, name=f"beside-{self._threads}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _serve(self):
        while True:
            future, context, function, values = self._work.get()
            result = failure = None
            try:
                result = context.run(function, *values)
            except BaseException as error:
                failure = error
            self._loop.call_soon_threadsafe(self._settle, future, result, failure)
            del future, context, function, values, result, failure  # not kept until the next work comes

    def _settle(self, future, result, failure):
        self._unfinished -= 1
        if future.cancelled():
            return
        if failure is None:
            future.set_result(result)
            return
        try:
            future.set_exception(failure)
        except TypeError as error:  # no future takes a StopIteration
            future.set_exception(RuntimeError(str(error)))
