"""How an answer leaves in parts, under the window of its call: one sequence of steps, driven by sync
and async servers."""

import asyncio
import collections.abc

from . import answers, failures

UNKNOWN_LENGTH = 2**64 - 1
MAX_PART = 256 * 1024  # also the size of a call's first window (wire/PROTOCOL.md)

NEXT_CHUNK = object()
DONE = object()
_END = object()


class Cancelled(Exception):
    """The caller is gone."""


def steps(channel, call, slot, run_ns, answer):
    """A generator that sends `answer`. It asks its driver for what may take time: it yields NEXT_CHUNK
    and is sent the next chunk of the body as bytes, or None at its end; it yields a number and is sent
    how many bytes, at most that many, may leave now. It yields DONE at the end. Raises Cancelled when
    it is sent 0."""
    send = _bytes_steps if isinstance(answer.body, bytes) else _stream_steps
    yield from send(channel, call, slot, run_ns, answer)
    yield DONE


def _bytes_steps(channel, call, slot, run_ns, answer):
    body = answer.body
    sent = min(len(body), MAX_PART)
    if sent == MAX_PART:
        sent = yield sent
        if not sent:
            raise Cancelled
    channel.respond(
        call, slot, run_ns, answer.status, answer.headers, body[:sent], len(body), sent < len(body)
    )
    while sent < len(body):
        granted = yield min(len(body) - sent, MAX_PART)
        if not granted:
            raise Cancelled
        channel.part(call, slot, body[sent : sent + granted], sent + granted < len(body))
        sent += granted


def _stream_steps(channel, call, slot, run_ns, answer):
    """The head leaves with the first chunk (which may be empty), so that a generator that fails before
    it has sent anything is an error for the caller, not a broken stream."""
    chunk = yield NEXT_CHUNK
    if chunk is None:
        channel.respond(call, slot, run_ns, answer.status, answer.headers, b"", 0, False)
        return
    channel.respond(call, slot, run_ns, answer.status, answer.headers, b"", UNKNOWN_LENGTH, True)
    while chunk is not None:
        sent = 0
        while sent < len(chunk):
            granted = yield min(len(chunk) - sent, MAX_PART)
            if not granted:
                raise Cancelled
            channel.part(call, slot, chunk[sent : sent + granted], True)
            sent += granted
        chunk = yield NEXT_CHUNK
    channel.part(call, slot, b"", False)


def send_sync(channel, call, slot, run_ns, answer, window):
    """Sends an answer from this thread and ends its call. `window.take_window(wanted)` waits until
    bytes may leave and answers how many (0: cancelled); `window.is_cancelled()` does not wait."""
    body = answer.body
    chunks = _drain(body) if isinstance(body, collections.abc.AsyncIterable) else body
    failure = None
    try:
        driven = steps(channel, call, slot, run_ns, answer)
        wish = next(driven)
        while wish is not DONE:
            if wish is NEXT_CHUNK:
                channel.flush()
                if window.is_cancelled():
                    raise Cancelled
                chunk = next(chunks, _END)
                wish = driven.send(None if chunk is _END else answers.chunk_bytes(chunk))
            else:
                wish = driven.send(window.take_window(wish))
    except BaseException as error:
        failure = error
    close_sync(channel, call, chunks)
    end_badly(channel, call, slot, run_ns, failure)


async def send_async(channel, call, slot, run_ns, answer, window):
    """The same in an event loop; `window.take_window` is a coroutine there, `window.flush` asks for a
    flush soon, `window.threads` run what may block."""
    body = answer.body
    is_async = isinstance(body, collections.abc.AsyncIterable)
    chunks = aiter(body) if is_async else body
    failure = None
    try:
        driven = steps(channel, call, slot, run_ns, answer)
        wish = next(driven)
        while wish is not DONE:
            if wish is NEXT_CHUNK:
                window.flush()
                chunk = await (anext(chunks, _END) if is_async else _next_in_thread(chunks, window.threads))
                wish = driven.send(None if chunk is _END else answers.chunk_bytes(chunk))
            else:
                wish = driven.send(await window.take_window(wish))
    except BaseException as error:
        failure = Cancelled() if window.is_cancelled() else error
    if is_async:
        await _close_async(channel, call, chunks)
    else:
        close_sync(channel, call, chunks)
    end_badly(channel, call, slot, run_ns, failure)


def end_badly(channel, call, slot, run_ns, failure):
    """Ends a call with FAILED unless `failure` is None."""
    if failure is None:
        return
    if isinstance(failure, Cancelled):
        failures.fail(channel, call, slot, failures.KIND_CANCELLED, run_ns, "cancelled")
    elif isinstance(failure, answers.BadAnswer):
        failures.fail_bad_answer(channel, call, slot, run_ns, str(failure))
    else:
        failures.fail_raised(channel, call, slot, run_ns, failure)


def close_sync(channel, call, chunks):
    """Lets a generator run its `finally`; what it raises goes to the log."""
    try:
        if hasattr(chunks, "close"):
            chunks.close()
    except BaseException as error:
        failures.log_traceback(channel, call, error)


async def _close_async(channel, call, chunks):
    try:
        if hasattr(chunks, "aclose"):
            await chunks.aclose()
    except BaseException as error:
        failures.log_traceback(channel, call, error)


def _drain(chunks):
    """The chunks of an async iterable, for a sync handler that returned one."""
    loop = asyncio.new_event_loop()
    source = aiter(chunks)
    try:
        while (chunk := loop.run_until_complete(_next_of(source))) is not _END:
            yield chunk
    finally:
        if hasattr(source, "aclose"):
            loop.run_until_complete(source.aclose())
        loop.close()


async def _next_of(source):
    return await anext(source, _END)


async def _next_in_thread(chunks, threads):
    """A sync generator may block: it runs beside the loop. Not left alone on cancellation, because a
    generator cannot be closed while it runs."""
    running = threads.run(next, chunks, _END)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
