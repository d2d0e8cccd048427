import os
import sys
import textwrap

import pytest

HERE = os.path.dirname(__file__)
sys.path[:0] = [HERE, os.path.join(HERE, "../../python/tests")]

from node_worker import NodeWorker  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """Starts a worker for the source of a handler; ended after the test. `files`: more files of the bundle."""
    workers = []

    def start_worker(source=None, files=None, ready=True, handler="handler.js", **options):
        bundle = tmp_path / f"bundle{len(workers)}"
        bundle.mkdir()
        all_files = {**({handler: source} if source is not None else {}), **(files or {})}
        for name, text in all_files.items():
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_text(textwrap.dedent(text))
        worker = NodeWorker(bundle, handler=handler, **options)
        workers.append(worker)
        if ready:
            worker.ready_info = worker.ready()
        return worker

    yield start_worker
    for worker in workers:
        worker.close()
