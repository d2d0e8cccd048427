"""The backup of docs/operating.md: taken while calls come, it starts as another server."""

import contextlib
import shutil
import sqlite3
import threading

from async_calls import Call, submit

HANDLER = """
def handle(req):
    return {"body": open("/run/secrets/S").read()}
"""


def test_a_copy_made_under_load_has_all_that_was_accepted_before(start_server, tmp_path):
    server = start_server()
    secrets = "/spaces/default/secrets/S"
    assert server.client.put(secrets, json={"value": "kept"}).is_success
    server.deploy("f", HANDLER, secrets=["S"])
    before = [submit(server, "f", headers={"X-Delay-Seconds": "3600"}).json()["id"] for _ in range(20)]
    stopping = threading.Event()

    def go_on():
        while not stopping.is_set():
            assert submit(server, "f").status_code == 202

    load = threading.Thread(target=go_on)
    load.start()
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    try:
        for name in ("queue.db", "sterna.db", "audit.db"):
            with contextlib.closing(sqlite3.connect(server.data_dir / name, timeout=5)) as database:
                database.execute("VACUUM INTO ?", (str(copy / name),))
    finally:
        stopping.set()
        load.join()
    for name in ("bundles", "layers"):
        shutil.copytree(server.data_dir / name, copy / name)
    shutil.copy2(server.data_dir / "secrets.key", copy)
    assert server.stop() == 0

    restored = start_server(data_dir=copy)
    restored.wait_for_status("f", "Running")
    assert restored.call("f").text == "kept"
    assert {Call(restored, "f", each).get()["state"] for each in before} == {"queued"}
