"""Waiting for the outside: look again until it holds, with a deadline."""

import time


def eventually(look, within=10.0, every=0.02):
    """Calls `look` until it answers something true, and answers that. An AssertionError counts as not yet."""
    deadline = time.monotonic() + within
    while True:
        complaint = None
        try:
            found = look()
            if found:
                return found
        except AssertionError as error:
            complaint = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {complaint or look}")
        time.sleep(every)
