"""A long load over all templates with faults, and what it leaves: measured over time, drawn, held against the beginning."""

import csv
import os
import pathlib
import re
import signal
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields

import living
import processes
from campaign import Campaign
from polling import eventually
from raw_http import Closed, RawClient
from senders import Senders
from sterna import ROOT, function_path, invoke_path

TEMPLATES = ROOT / "tests" / "e2e" / "templates"
LIMITS = {"max_replicas": 2, "idle_seconds": 2, "timeout_seconds": 3, "queue_wait_seconds": 20}

PYTHON = """
import asyncio, time
def handle(req):
    if req.path == "/sleep":
        time.sleep(float(req.query["seconds"]))
    return {"body": req.body}
"""
NODE = """
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
exports.handle = async (req) => {
  if (req.path === "/sleep") await pause(1000 * Number(req.query.get("seconds")));
  return { body: req.body };
};
"""
COMMAND = """#!/bin/sh
[ "$PATH_INFO" = /sleep ] && sleep "${QUERY_STRING#seconds=}"
exec cat
"""

# Each answers a POST to /echo with the body that it was sent, and one to /sleep after ?seconds=N.
FUNCTIONS = {
    "python": ("python3-http", {"handler.py": PYTHON}),
    "python-async": ("python3-http", {"handler.py": PYTHON.replace("def", "async def").replace("time.sleep", "await asyncio.sleep")}),
    "node": ("node-http", {"handler.js": NODE}),
    "command": ("command", {"bootstrap": COMMAND}),
    "http": ("http", {"bootstrap": (TEMPLATES / "http" / "bootstrap").read_text()}),
    "lambda": ("lambda", {"bootstrap": (TEMPLATES / "lambda" / "bootstrap").read_text()}),
    "cpp": ("cpp", {"handler.cc": (TEMPLATES / "cpp" / "handler.cc").read_text()}),
}

# What a call may be answered with while its worker is killed or hung, or the server ends: true, and no loss.
HONEST = {"worker_died", "function_timeout", "no_capacity", "cannot_start_worker", "function_not_running", "draining"}


@dataclass
class Sample:
    second: float
    memory_mib: float  # resident, of the server's own process
    files: int  # open in the server
    processes: int  # of the server, with all below it
    cgroups: int
    mounts: int


def count_files(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def cgroups_of(server):
    """Folders of cgroups below those that the server made."""
    homes = {folder.parent for each in server.processes() for folder in each.cgroups() if "sterna" in str(folder)}
    return sum(len([path for path in home.rglob("*") if path.is_dir()]) for home in homes)


def take(server, began):
    return Sample(round(time.monotonic() - began, 1), round(server.memory_kib() / 1024, 2), count_files(server.pid()),
                  1 + len(server.processes()), cgroups_of(server), len(processes.mounts()))  # fmt: skip


class Sampler(threading.Thread):
    """A sample every so often; between two servers there is none."""

    def __init__(self, server, every):
        super().__init__(daemon=True)
        self.server, self.every = server, every
        self.samples, self.began, self.stopping = [], time.monotonic(), threading.Event()

    def run(self):
        while not self.stopping.wait(self.every):
            try:
                self.samples.append(take(self.server, self.began))
            except (OSError, AttributeError, TypeError):
                continue

    def stop(self):
        self.stopping.set()
        self.join(30)


class Callers(Senders):
    """Synchronous calls of all functions in turn. `pause`: seconds between two calls of a thread."""

    def __init__(self, server, threads, pause):
        self.server, self.pause = server, pause
        self.outcomes, self.broken, self.next = Counter(), 0, iter(range(10**12)).__next__
        super().__init__(threads)

    def run(self):
        client = None
        while not self.stopping.wait(self.pause):
            number = self.next()
            name, body = list(FUNCTIONS)[number % len(FUNCTIONS)], b"body %d" % number
            try:
                client = client or RawClient(self.server.address, timeout=60)
                self.note(name, body, client.request("POST", invoke_path(name, "/echo"), body=body).read())
            except (Closed, OSError):
                client = None
                with self.lock:
                    self.broken += 1
                self.wait_for_server()
        if client:
            client.close()

    def note(self, name, body, answer):
        with self.lock:
            if answer.status == 200 and answer.body == body:
                self.outcomes[200] += 1
                return
            reason = next((each for each in HONEST if f'"{each}"'.encode() in answer.body), None)
            self.outcomes[reason or f"{answer.status} {answer.body[:200]!r}"] += 1
            if reason is None:
                self.mistakes.append((name, answer.status, answer.body[:200]))

    def wait_for_server(self):
        while not self.stopping.wait(0.1):
            try:
                return RawClient(self.server.address, timeout=5).close()
            except OSError:
                continue


class PacedCampaign(Campaign):
    """The campaign's calls, with a pause between two of them."""

    def __init__(self, *arguments, pause, **options):
        self.pause = pause
        super().__init__(*arguments, **options)

    def next_id(self):
        return None if self.stopping.wait(self.pause) else super().next_id()


BUNDLE = re.compile(r"/bundles/\S+")
STATES = ("idle", "busy", "starting", "draining")


def code_of(process):
    """The folder of the function's code that a process sees; none for a spare."""
    found = BUNDLE.search(processes.read(f"/proc/{process.pid}/mountinfo"))
    return found and found.group(0)


class Faults:
    """Kills and hangs workers in each state of theirs, and zygotes; counts what."""

    def __init__(self, server, chance):
        self.server, self.chance, self.done = server, chance, Counter()
        self.slow, self.mistakes = Counter(), []  # answers to the calls that keep workers busy
        self.pool = ThreadPoolExecutor(8)

    def workers(self, name):
        """The function's processes, by the code that they see."""
        code = CODE.get(name)
        return [each for each in living.workers(self.server) if code and code_of(each) == code]

    def call_slowly(self, name, seconds=1.0):
        try:
            with RawClient(self.server.address, timeout=60) as client:
                answer = client.request("POST", invoke_path(name, f"/sleep?seconds={seconds}"), body=b"x").read()
        except (Closed, OSError):
            self.slow["broken off"] += 1
            return
        reason = next((each for each in HONEST if f'"{each}"'.encode() in answer.body), None)
        self.slow[answer.status if answer.status == 200 else reason] += 1
        if answer.status != 200 and reason is None:
            self.mistakes.append((name, answer.status, answer.body[:200]))

    def hit(self, among, state):
        """One of these, or the first process of its sandbox."""
        victim = self.chance.choice(among) if among else None
        if victim and self.chance.random() < 0.2:
            victim = living.init_of(self.server, victim) or victim
        number, how = self.chance.choice([(signal.SIGKILL, "killed"), (signal.SIGSTOP, "hung")])
        if victim and victim.send_signal(number):
            self.done[f"{state} workers {how}"] += 1

    def one(self):
        if self.chance.random() < 0.1:
            return self.helper()
        state, name = self.chance.choice(STATES), self.chance.choice(list(FUNCTIONS))
        if state == "idle":
            return self.hit(living.workers(self.server), state)
        self.pool.submit(self.call_slowly, name)
        if state == "starting":
            for each in self.workers(name):
                each.send_signal(signal.SIGKILL)
            gone = {each.pid for each in self.workers(name)}
            return self.hit(self.soon(lambda: [each for each in self.workers(name) if each.pid not in gone]), state)
        found = self.soon(lambda: self.workers(name))
        if state == "draining":
            answer = self.server.request("PATCH", function_path(name), json={"description": str(self.chance.random())})
            assert answer.status_code == 200, answer.text
        self.hit(found, state)

    def soon(self, look):
        try:
            return eventually(look, 5)
        except AssertionError:
            return []

    def helper(self):
        what, found = self.chance.choice([("zygotes", living.zygotes(self.server)), ("networks", living.networks(self.server))])
        number, how = self.chance.choice([(signal.SIGKILL, "killed"), (signal.SIGKILL, "killed"), (signal.SIGSTOP, "hung")])
        if found and self.chance.choice(found).send_signal(number):
            self.done[f"{what} {how}"] += 1

    def restart(self):
        self.server.kill()
        self.server.start()
        self.done["servers killed"] += 1

    def end(self):
        """What hangs is found, and the last calls are answered."""
        self.pool.shutdown()


CODE = {}  # of each function, as code_of tells it


def deploy_all(server):
    for name, (template, files) in FUNCTIONS.items():
        server.deploy(name, files, template=template, limits=LIMITS)
        assert server.call(name, "/echo", method="POST", content=b"first").content == b"first"
        CODE[name] = eventually(lambda: next((code for code in map(code_of, living.workers(server)) if code and code not in CODE.values()), None))  # noqa: B023


def measure_peak(server, seconds):
    """Calls a second when eight callers do not pause."""
    with Callers(server, 8, 0) as callers:
        began = time.monotonic()
        callers.stopping.wait(seconds)
        took = time.monotonic() - began
    assert not callers.mistakes, callers.mistakes[:3]
    return callers.outcomes[200] / took


def summary(seconds, faults, callers, samples):
    """One line: how long, what was broken, what came of the calls, how memory and files stood at the end."""
    first, last = samples[0], samples[-1]
    hits = ", ".join(f"{count} {what}" for what, count in sorted(faults.done.items()))
    answered = sum(callers.outcomes.values())
    return (f"soak: {seconds:.0f} s, {answered} calls, {callers.outcomes[200] / max(1, answered):.2%} answered, {callers.broken} broken off;"
            f" slow ones {dict(faults.slow)}; {hits}; memory {first.memory_mib:g} to {last.memory_mib:g} MiB,"
            f" files {first.files} to {last.files}, processes {first.processes} to {last.processes}")  # fmt: skip


def wait_for_rest(server):
    """Until no replica is left, and the numbers of processes and files stand still."""

    def is_idle():
        return all(server.replicas(name) == 0 for name in FUNCTIONS)

    eventually(is_idle, 120, 0.5)
    last = None

    def stands_still():
        nonlocal last
        before, last = last, (len(server.processes()), count_files(server.pid()), cgroups_of(server))
        return before == last

    eventually(stands_still, 60, 1)
    return take(server, time.monotonic())


# What is written


def write_samples(samples, path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(each.name for each in fields(Sample))
        writer.writerows(astuple(each) for each in samples)


def polyline(samples, name, top, height, width):
    values = [getattr(each, name) for each in samples]
    highest, last = max(values) * 1.1 or 1, max(each.second for each in samples) or 1
    points = " ".join(f"{60 + each.second / last * width:.1f},{top + height - value / highest * height:.1f}"
                      for each, value in zip(samples, values))  # fmt: skip
    return (f'<rect x="60" y="{top}" width="{width}" height="{height}" fill="none" stroke="#ccc"/>'
            f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>'
            f'<text x="60" y="{top - 6}">{name}: at most {max(values):g}, at the end {values[-1]:g}</text>'
            f'<text x="52" y="{top + 10}" text-anchor="end">{highest:.0f}</text>'
            f'<text x="52" y="{top + height}" text-anchor="end">0</text>')  # fmt: skip


def draw(samples, path, title):
    """One curve below the other over time, as SVG."""
    names, height, width = [each.name for each in fields(Sample)[1:]], 110, 840
    parts = [polyline(samples, name, 50 + at * (height + 40), height, width) for at, name in enumerate(names)]
    total = 50 + len(names) * (height + 40)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="920" height="{total}" font-family="sans-serif" font-size="12">'
        f'<rect width="920" height="{total}" fill="#fff"/><text x="60" y="22" font-size="15">{title}</text>{"".join(parts)}'
        f'<text x="900" y="{total - 22}" text-anchor="end">{samples[-1].second:.0f} s</text></svg>\n'
    )


def table(before, after):
    rows = ["| | before | after |", "|---|---|---|"]
    rows += [f"| {each.name} | {getattr(before, each.name):g} | {getattr(after, each.name):g} |" for each in fields(Sample)[1:]]
    return "\n".join(rows)


def trend(samples, name):
    """Of the last server: the middle of the last quarter divided by that of the second one."""
    quarter = len(samples) // 4
    if quarter < 5:
        return 1.0
    early = statistics.median(getattr(each, name) for each in samples[quarter : 2 * quarter])
    late = statistics.median(getattr(each, name) for each in samples[-quarter:])
    return late / early if early else 1.0


# Idle ones to the receiver of callbacks, for the next callback (max_transfers_per_target of callback/sender_limits.h).
KEPT_CONNECTIONS = 32


def check_growth(before, after):
    """At rest, at the end: nothing more than there was at rest at the beginning, but for memory that is kept for later."""
    assert after.memory_mib <= before.memory_mib * 1.25 + 24, table(before, after)
    assert after.files <= before.files + 8 + KEPT_CONNECTIONS, table(before, after)
    assert after.processes <= before.processes + 1, table(before, after)
    assert after.cgroups <= before.cgroups + 1, table(before, after)
    assert after.mounts <= before.mounts, table(before, after)


def wait_until_nothing_has_grown(server, before):
    """The last replicas and spares take their time to go; what has leaked never goes."""

    def look():
        after = take(server, time.monotonic())
        check_growth(before, after)
        return after

    return eventually(look, 60, 1)


def folder():
    made = pathlib.Path(os.environ.get("SOAK_OUT", ROOT / "build" / "soak"))
    made.mkdir(parents=True, exist_ok=True)
    return made
