import os
import sys
import textwrap

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from worker import Worker  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """Starts a worker for the source of a handler; ended after the test. With `files`, more files of
    the bundle."""
    workers = []

    def start_worker(source=None, files=None, ready=True, **options):
        bundle = tmp_path / f"bundle{len(workers)}"
        bundle.mkdir()
        for name, text in {
            **({"handler.py": source} if source is not None else {}),
            **(files or {}),
        }.items():
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_text(textwrap.dedent(text))
        worker = Worker(bundle, **options)
        workers.append(worker)
        worker.bundle = bundle
        if ready:
            worker.ready_info = worker.ready()
        return worker

    yield start_worker
    for worker in workers:
        worker.close()
