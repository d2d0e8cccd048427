"""sys.stdout and sys.stderr of user code: what they are given leaves as LOG frames with the number of
the running call."""

import functools
import io
import logging
import os
import sys
import threading
import weakref

STDOUT = 1
STDERR = 2
PLATFORM = 3  # what the platform itself says in a function's log

_ORIGINAL_STREAMS = (sys.stdout, sys.stderr)  # kept: taking them apart costs more than they do


class LogBytes(io.BufferedIOBase):
    """The `buffer` of a LogStream: takes bytes."""

    def __init__(self, channel, stream, current_call):
        self._channel = channel
        self._stream = stream
        self.current_call = current_call
        self.mode = "wb"

    def redirect(self, channel, current_call):
        self._channel = channel
        self.current_call = current_call

    def write(self, data):
        data = bytes(data)
        # A fork of the worker may not use the channel: its output goes to the pipe.
        if not self._channel.log(self.current_call(), self._stream, data):
            os.write(self._stream, data)
        return len(data)

    def fileno(self):
        return self._stream

    def writable(self):
        return True


class LogStream(io.TextIOBase):
    """A text stream whose whole lines are sent at once; the rest of a line is sent with its end or at
    the end of its call."""

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True
    mode = "w"

    def __init__(self, channel, stream, current_call):
        self.buffer = LogBytes(channel, stream, current_call)
        self.name = "<stdout>" if stream == STDOUT else "<stderr>"

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.buffer.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def fileno(self):
        return self.buffer.fileno()

    def writable(self):
        return True

    def reconfigure(self, **options):
        """Accepted, as TextIOWrapper has it; lines are always sent at once."""


# What the streams ask, who own it: a channel must not outlive its worker, whose descriptors others get.
_call_of_thread = lambda: None  # noqa: E731


class CallOfThread:
    """Called, the number of the running call where one runs at a time: to its own thread, which makes this,
    and to the threads that it has started. 0 to those of earlier calls."""

    def __init__(self, channel):
        self._running_call = channel.current_call
        self._own_thread = threading.get_ident()
        global _call_of_thread
        _call_of_thread = weakref.ref(self)

    def __call__(self):
        call = self._running_call()
        if call == 0 or threading.get_ident() == self._own_thread:
            return call
        return call if getattr(threading.current_thread(), "_sterna_call", 0) == call else 0


_start_thread = threading.Thread.start


@functools.wraps(_start_thread)
def _note_call_and_start(thread):
    current_call = _call_of_thread()
    if current_call is not None:
        thread._sterna_call = current_call()
    _start_thread(thread)


threading.Thread.start = _note_call_and_start


def replace_streams(channel):
    """Puts both streams in place and answers them; what they are given is of the running call of the
    channel until something else is set."""
    current_call = CallOfThread(channel)
    sys.stdout = sys.__stdout__ = LogStream(channel, STDOUT, current_call)
    sys.stderr = sys.__stderr__ = LogStream(channel, STDERR, current_call)
    return sys.stdout, sys.stderr


def redirect_streams(streams, channel):
    """Gives a replica's streams its own channel; user code may hold on to them."""
    current_call = CallOfThread(channel)
    for stream in streams:
        stream.buffer.redirect(channel, current_call)


def configure_logging():
    """Makes `logging.info(...)` visible unless the handler has set logging up itself."""
    if not logging.root.handlers:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
