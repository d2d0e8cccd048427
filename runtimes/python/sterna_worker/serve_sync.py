"""Serves a sync handler one call at a time: the loop is native, only what is not a common answer comes
here."""

import contextvars

from . import answers, failures, sending


def serve(channel, handle):
    """Until SHUTDOWN or until the server is gone."""

    def finish(call, slot, run_ns, answer, error):
        if error is not None:
            failures.fail_raised(channel, call, slot, run_ns, error)
        else:
            finish_answer(channel, call, slot, run_ns, answer, channel)

    loaded = contextvars.copy_context()
    channel.serve_sync(handle, finish, loaded.copy, contextvars.Context.run)


def finish_answer(channel, call, slot, run_ns, answer, window):
    """Sends what a handler returned, however unusual, and ends the call."""
    try:
        read = answers.read_answer(answer)
    except answers.BadAnswer as bad:
        failures.fail_bad_answer(channel, call, slot, run_ns, str(bad))
    except BaseException as error:  # an object of user code that breaks when it is looked at
        failures.fail_raised(channel, call, slot, run_ns, error)
    else:
        sending.send_sync(channel, call, slot, run_ns, read, window)
