"""Looks into /proc and the cgroup file systems: what belongs to a server, and what it left behind."""

import os
import pathlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """A process by pid and start time, so that a pid that is used again is another one."""

    pid: int
    started: str

    def is_alive(self):
        return start_time(self.pid) == self.started

    def name(self):
        return read(f"/proc/{self.pid}/comm").strip()

    def memory_kib(self, field):
        """A field of /proc/pid/smaps_rollup, such as Rss or Pss."""
        for line in read(f"/proc/{self.pid}/smaps_rollup").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def status_kib(self, field):
        """A field of /proc/pid/status, such as VmHWM: the most memory that it has ever had."""
        for line in read(f"/proc/{self.pid}/status").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def cgroups(self):
        """Folders of its cgroups, in all hierarchies."""
        found = []
        for line in read(f"/proc/{self.pid}/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            for mount in cgroup_mounts(controllers):
                folder = mount / path.lstrip("/")
                if path != "/" and folder.is_dir():
                    found.append(folder)
        return found


def read(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def start_time(pid):
    """None for a process that is gone or only waits to be reaped."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else None


def process(pid):
    return Process(pid, start_time(pid))


def children_by_parent():
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = read(f"/proc/{name}/stat").rpartition(")")[2].split()
            if fields and fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
    return children


def descendants(pid):
    children, found, left = children_by_parent(), [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(process(child))
            left.append(child)
    return [each for each in found if each.started]


def zombies_of(parent):
    """Pids of children that have ended and that it has not reaped."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = read(f"/proc/{name}/stat").rpartition(")")[2].split()
        if fields and fields[0] == "Z" and int(fields[1]) == parent:
            found.append(int(name))
    return found


def cgroup_mounts(controllers):
    wanted = set(controllers.split(",")) if controllers else set()
    for line in read("/proc/self/mountinfo").splitlines():
        fields, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        mount = pathlib.Path(fields.split(" ")[4])
        if (
            kind == "cgroup2"
            and not wanted
            or kind == "cgroup"
            and wanted
            and wanted <= set(options.split(","))
        ):
            yield mount


def mounts():
    """Mount points of this mount namespace."""
    return {line.split(" ")[4] for line in read("/proc/self/mountinfo").splitlines()}
