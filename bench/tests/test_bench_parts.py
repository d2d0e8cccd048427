"""The pure pieces of the measurements, and the handling of processes."""

import os
import sys
from pathlib import Path

import pytest

from suite.instructions import collected
from suite.memory import kib_of, mib
from suite.options import ALL_CASES, SERVERS, select
from suite.peers import PEERS, Ports, nginx_config
from suite.processes import Child, tree, wait_until

ROLLUP = """55d0-7ffc ---p 00000000 00:00 0                                  [rollup]
Rss:                9144 kB
Pss:                4200 kB
Pss_Dirty:             1 kB
"""


def test_reads_fields_of_smaps_rollup():
    assert (kib_of(ROLLUP, "Rss"), kib_of(ROLLUP, "Pss"), kib_of(ROLLUP, "Swap")) == (9144, 4200, 0)


def test_memory_leaves_out_processes_that_are_gone():
    assert mib([os.getpid(), 2**22 + 1], "Rss") == pytest.approx(mib([os.getpid()], "Rss"), rel=0.05)


def test_adds_up_what_callgrind_counted_in_all_processes():
    assert collected("==1== Collected : 10\n==2== Events    : Ir\n==2== Collected : 123456\n") == 123466
    with pytest.raises(ValueError, match="Killed"):
        collected("Killed")


def test_only_restricts_each_kind_by_itself():
    assert select("") == (SERVERS, ALL_CASES)
    assert select("nginx, sterna") == (("sterna", "nginx"), ALL_CASES)
    assert select("sterna-cpp,echo-64-c1") == (("sterna-cpp",), ("echo-64-c1",))
    assert select("cold-start") == (SERVERS, ("cold-start",))
    with pytest.raises(ValueError, match="apache"):
        select("apache,nginx")


def test_nginx_sends_as_many_bytes_as_it_gets():
    text = nginx_config(8080, Path("/scratch"), sizes=(64, 3000))
    assert "@" not in text
    piece = "x" * 1024
    assert f'set $kib "{piece}";' in text
    assert 'return 200 "' + "x" * 64 + '";' in text
    assert f'return 200 "$kib$kib{"x" * 952}";' in text


def test_nginx_passes_requests_on_to_the_server_behind_it(tmp_path):
    PEERS["nginx+node:http"].argv(Ports(8080, 9090), tmp_path)
    text = (tmp_path / "nginx-proxy.conf").read_text()
    assert "@" not in text
    assert "listen 127.0.0.1:8080 " in text and "server 127.0.0.1:9090;" in text


def test_a_child_and_all_it_started_are_ended(tmp_path):
    # The shell's child ignores SIGTERM and would outlive it.
    script = "(trap '' TERM; exec sleep 600) & echo $! >pid.new; mv pid.new pid; wait"
    with Child(["/bin/sh", "-c", script], tmp_path / "log", cwd=tmp_path) as child:
        wait_until("the grandchild", (tmp_path / "pid").exists, 20)
        grandchild = int((tmp_path / "pid").read_text())
        assert {child.pid, grandchild} <= set(tree(child.pid))
    assert not child.alive()
    wait_until("the grandchild's end", lambda: _is_gone(grandchild), 20)


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_a_child_that_ends_leaves_its_last_words(tmp_path):
    with Child([sys.executable, "-c", "print('no such port')"], tmp_path / "log") as child:
        wait_until("its end", lambda: not child.alive(), 20)
        assert child.tail() == "no such port"


def test_waiting_has_an_end_and_says_for_what():
    with pytest.raises(TimeoutError, match="the moon"):
        wait_until("the moon", lambda: False, 0.01)
