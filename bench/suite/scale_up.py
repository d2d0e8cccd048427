"""A second replica of a function that takes a second to load: from the request that needs it to its answer, while the first replica is busy."""

import time

from .functions import Function
from .http_client import Connection, HttpError
from .cold_start import cold_call_ms
from .results import Results, Sample
from .sterna import Sterna, invoke_request

CASE = "scale-up"
ROW = "imports for 1 s"
NAME = "scale-up"
LOADS_SLOWLY = b"""import time

until = time.monotonic() + 1
while time.monotonic() < until:
    pass

def handle(req):
    time.sleep(float(req.query.get("seconds", 0)))
    return {"body": req.body}
"""
BUSY_S = 1.0  # longer than the second replica should take by far, so that no other can answer
# The busy call has begun, and the server knows that it is not a short one.
BEGUN_S = 0.1


def measure(sterna: Sterna, count: int, results: Results) -> None:
    """Raises HttpError when the answer did not come from a second replica."""
    sterna.deploy(NAME, {"min_replicas": 1, "max_replicas": 2, "idle_seconds": 0.2},
                  Function("python3-http", lambda: {"handler.py": LOADS_SLOWLY}))
    request = invoke_request(NAME, b"x" * 64)
    busy = request.replace(b"/invoke ", b"/invoke?seconds=%.1f " % BUSY_S, 1)
    with Connection(sterna.port) as holding, Connection(sterna.port) as connection:
        connection.exchange(request)
        for number in range(count):
            sterna.wait_replicas(NAME, 1)
            holding.send(busy)
            time.sleep(BEGUN_S)
            results.add(Sample(CASE, ROW, number, "ms", cold_call_ms(connection, request)))
            if (answer := holding.receive()).status != 200:
                raise HttpError(f"the first replica answered {answer.status}")
    sterna.call("DELETE", f"/spaces/default/functions/{NAME}", wanted=(200, 202, 204))
