import os
import pathlib
import random
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "e2e")]

import sterna  # noqa: E402
from campaign import OPTIONS, RunCounter  # noqa: E402
from receiver import Receiver  # noqa: E402

REPORTED = []
# The whole campaign instead of the one that fits into a run of all tests.
FULL = os.environ.get("STERNA_FAULT_FULL") == "1"


@pytest.fixture
def report(request):
    """Notes a line for the summary at the end of the run."""
    return lambda text: REPORTED.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    for line in REPORTED:
        terminalreporter.write_line(line)


@pytest.fixture
def chance(report):
    """Random numbers, whose seed is shown and can be given again in STERNA_FAULT_SEED."""
    seed = int(os.environ.get("STERNA_FAULT_SEED", random.SystemRandom().randrange(10**6)))
    report(f"STERNA_FAULT_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def full():
    return FULL


@pytest.fixture
def server(tmp_path):
    """Ended at the end of the test, whatever a test did to it; nothing of it may be left."""
    running = sterna.Server(tmp_path / "data", *OPTIONS).start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log()[-4000:]


@pytest.fixture
def runs():
    counter = RunCounter()
    yield counter
    counter.close()


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running
