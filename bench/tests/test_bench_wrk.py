import shutil

import pytest

from suite import wrk
from suite.server import free_ports

GOOD = """Running 2s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
Requests/sec:  20000.00
WRK {"requests": 40000, "duration_us": 2000000, "connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0, \
"p50_us": 1500, "p99_us": 6250}
"""


def test_reads_rate_and_latencies():
    assert wrk.parse(GOOD) == wrk.Measured(20000, 1.5, 6.25, {})


def test_keeps_the_kinds_of_errors_that_happened():
    found = wrk.parse(GOOD.replace('"read": 0', '"read": 3').replace('"status": 0', '"status": 12'))
    assert found.errors == {"read": 3, "status": 12}


def test_output_without_a_result_is_an_error_that_shows_the_output():
    with pytest.raises(wrk.WrkError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_no_answer_at_all_is_an_error():
    with pytest.raises(wrk.WrkError, match="no request was answered.*timeout"):
        wrk.parse(GOOD.replace('"requests": 40000', '"requests": 0').replace('"timeout": 0', '"timeout": 32'))


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_a_port_where_nobody_listens_is_an_error():
    with pytest.raises(wrk.WrkError):
        wrk.run(f"http://127.0.0.1:{free_ports(1)[0]}/", wrk.Load(1, 64, 1))
