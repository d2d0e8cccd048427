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


def zygotes(server):
    own = processes.children_by_parent().get(server.pid(), [])
    return [Living(processes.process(pid)) for pid in own]


def inits(server):
    """First processes of sandboxes, of spares too."""
    children = processes.children_by_parent()
    return [Living(processes.process(pid)) for zygote in zygotes(server) for pid in children.get(zygote.pid, [])]


def workers(server):
    """What runs in sandboxes."""
    children = processes.children_by_parent()
    return [Living(processes.process(pid)) for init in inits(server) for pid in children.get(init.pid, [])]


def workers_with(server, file):
    """Those that see this file in their own /tmp (needs root)."""
    return [each for each in workers(server) if os.path.exists(f"/proc/{each.pid}/root/tmp/{file}")]


def init_of(server, worker):
    children = processes.children_by_parent()
    return next((each for each in inits(server) if worker.pid in children.get(each.pid, [])), None)
