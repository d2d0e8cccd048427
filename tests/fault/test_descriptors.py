"""The server may open no more files: what it has goes on, what is new is told so, and with descriptors again all is well."""

import os
import resource
import signal

import httpx

from campaign import Campaign, pairs
from health import told, wait_for_problem, wait_until_well
from living import workers
from polling import eventually
from sterna import invoke_path


LOOKS = 1_000  # callbacks open and close connections all the time: what they leave is to be taken away, too


def lowest_free(pid):
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


class Descriptors:
    def __init__(self, server):
        self.pid = server.pid()
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def take_away(self):
        lowest = min(lowest_free(self.pid) for _ in range(LOOKS))
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (lowest, self.before[1]))

    def give_back(self):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_calls_wait_out_a_lack_of_descriptors(server, receiver, report, runs):
    runs.deploy(server, "echo", limits={"max_replicas": 2, "queue_wait_seconds": 30})
    descriptors = Descriptors(server)
    kept = [server.open() for _ in range(3)]  # idle: they give way to those who ask for /readyz
    with Campaign(server, "echo", receiver.url("/callback"), 10**9, 4, {"queue_unavailable"}) as campaign:
        eventually(lambda: len(campaign.accepted()) > 200)
        descriptors.take_away()
        wait_for_problem(server, "gateway", "out_of_descriptors")
        for worker in workers(server):
            worker.send_signal(signal.SIGKILL)
        before = len(campaign.accepted())
        eventually(lambda: len(campaign.accepted()) > before + 50, 60)  # accepting a call needs none
        descriptors.give_back()
        wait_until_well(server)
        campaign.stopping.set()
        campaign.join()
        campaign.wait_until_settled(120)
        campaign.check(pairs(receiver))
    assert server.call("echo", method="POST", content=b"sync").content == b"sync"
    for client in kept:
        client.close()
    assert told(server, "out_of_descriptors") == (1, 1)
    report(campaign.summary(pairs(receiver), runs))


def test_new_clients_are_told_and_nothing_spins(server):
    slow = "import time\ndef handle(req):\n    time.sleep(3)\n    return {'body': 'done'}\n"
    server.deploy("slow", slow, limits={"max_replicas": 1})
    server.client.close()  # all that is open is being served: nobody can give way
    busy = server.open()
    busy.request("POST", invoke_path("slow"))
    eventually(lambda: workers(server))
    descriptors = Descriptors(server)
    descriptors.take_away()

    def is_refused():
        with server.open(timeout=5) as client:
            answer = client.read()
        assert (answer.status, b'"out_of_descriptors"' in answer.body) == (503, True), answer
        return True

    before = processor_seconds(server.pid())
    for _ in range(20):
        is_refused()
    assert processor_seconds(server.pid()) - before < 0.5
    assert busy.read().body == b"done"
    descriptors.give_back()
    wait_until_well(server)
    metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert 'sterna_connections_refused_total{reason="out_of_descriptors"} 20\n' in metrics
    busy.close()
