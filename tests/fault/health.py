"""What /readyz says."""

import httpx

from polling import eventually


def readiness(server):
    """Status code and JSON of /readyz, over a connection of its own, which may have to give way to others."""
    try:
        answer = httpx.get(f"{server.url}/readyz", timeout=10, trust_env=False)
    except httpx.TransportError as error:
        raise AssertionError(f"/readyz: {error!r}") from error
    return answer.status_code, answer.json()


def problems(server):
    """Pairs of component and reason."""
    return {(each["component"], each["reason"]) for each in readiness(server)[1].get("problems", [])}


def wait_for_problem(server, component, reason, within=20):
    def begun():
        assert (component, reason) in problems(server), problems(server)
        return True

    eventually(begun, within, 0.1)


def wait_until_well(server, within=30):
    def well():
        status, said = readiness(server)
        assert (status, said["status"]) == (200, "ready"), said
        return True

    eventually(well, within, 0.1)


def told(server, reason):
    """How often the log says that the problem begins, and that it is over."""
    lines = [line for line in server.log().splitlines() if f'reason="{reason}"' in line]
    return tuple(sum(text in line for line in lines) for text in ("a problem begins", "a problem is over"))
