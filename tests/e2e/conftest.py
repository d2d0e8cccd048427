import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import sterna  # noqa: E402
from receiver import Receiver  # noqa: E402

ALLOW_LOOPBACK = ("--callback-allow", "127.0.0.0/8")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests of a module; at its end nothing of it may be left."""
    running = sterna.Server(tmp_path_factory.mktemp("server") / "data").start()
    yield running
    assert running.stop() == 0, running.log()[-4000:]


@pytest.fixture(scope="module")
def async_server(tmp_path_factory):
    """A server whose callbacks may go to loopback."""
    running = sterna.Server(tmp_path_factory.mktemp("server") / "data", *ALLOW_LOOPBACK).start()
    yield running
    assert running.stop() == 0, running.log()[-4000:]


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def start_server(tmp_path_factory):
    """Starts servers with options of their own, for one test; at its end nothing of them may be left."""
    started = []

    def start(*options, data_dir=None, **more):
        data_dir = data_dir or tmp_path_factory.mktemp("server") / "data"
        started.append(sterna.Server(data_dir, *options, **more).start())
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            assert running.stop() == 0, running.log()[-4000:]
