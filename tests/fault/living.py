"""The processes of a server by what they are."""

import os

import processes


class Living:
    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def send_signal(self, number):
        """To it alone. One that has ended in the meantime is let be."""
        try:
            os.kill(self.pid, number)
            return True
        except ProcessLookupError:
            return False

    def is_alive(self):
        return self.process.is_alive()


def children(server):
    return [Living(processes.process(pid)) for pid in processes.children_by_parent().get(server.pid(), [])]


def zygotes(server):
    return [each for each in children(server) if each.process.name() != "sh"]


def networks(server):
    """The shells that hold pasta for workers with network egress."""
    return [each for each in children(server) if each.process.name() == "sh"]


def inits(server):
    """First processes of sandboxes, of spares too."""
    tree = processes.children_by_parent()
    return [Living(processes.process(pid)) for zygote in zygotes(server) for pid in tree.get(zygote.pid, [])]


def workers(server):
    """What runs in sandboxes."""
    tree = processes.children_by_parent()
    return [Living(processes.process(pid)) for init in inits(server) for pid in tree.get(init.pid, [])]


def workers_with(server, file):
    """Those that see this file in their own /tmp (needs root)."""
    return [each for each in workers(server) if os.path.exists(f"/proc/{each.pid}/root/tmp/{file}")]


def init_of(server, worker):
    tree = processes.children_by_parent()
    return next((each for each in inits(server) if worker.pid in tree.get(each.pid, [])), None)
