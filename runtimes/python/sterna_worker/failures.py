"""Says what went wrong: a line for the server, a traceback without our own frames for the function's
log."""

import traceback

from . import FILES

KIND_RAISED = 1
KIND_BAD_ANSWER = 2
KIND_CANCELLED = 3

MAX_SUMMARY = 1000
MAX_TRACEBACK = 64 * 1024
STDERR = 2

_OURS = (FILES, "<frozen importlib.")


def summary_of(error):
    """`Type: message` in one line of at most MAX_SUMMARY characters."""
    try:
        only = traceback.TracebackException(type(error), error, None, compact=True)
        only.__notes__ = None  # they would follow
        text = list(only.format_exception_only())[-1].strip()
    except Exception as broken:  # an exception class may override what formatting uses
        text = f"{type(error).__name__} (its text cannot be made: {type(broken).__name__})"
    return text.partition("\n")[0][:MAX_SUMMARY]


def traceback_of(error):
    """The traceback from the first frame of user code on, at most MAX_TRACEBACK characters."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        text = _plain_traceback(error, trace)
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n[... cut ...]\n{text[-half:]}"
    return text


def _plain_traceback(error, trace):
    """What needs neither the exception's own code nor what Python imports while it formats (ast, tokenize): a module of
    the function may have such a name."""
    text = "Traceback (most recent call last):\n"
    while trace is not None:
        code = trace.tb_frame.f_code
        text += f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}\n'
        trace = trace.tb_next
    return f"{text}{summary_of(error)}\n"


def log_traceback(channel, call, error):
    channel.log(call, STDERR, traceback_of(error).encode("utf-8", "backslashreplace"))


def fail_raised(channel, call, slot, run_ns, error):
    log_traceback(channel, call, error)
    fail(channel, call, slot, KIND_RAISED, run_ns, summary_of(error))


def fail_bad_answer(channel, call, slot, run_ns, text):
    channel.log(call, STDERR, f"bad answer: {text}\n".encode("utf-8", "backslashreplace"))
    fail(channel, call, slot, KIND_BAD_ANSWER, run_ns, text)


def fail(channel, call, slot, kind, run_ns, text):
    channel.failed(call, slot, kind, run_ns, text[:MAX_SUMMARY].encode("utf-8", "backslashreplace"))
