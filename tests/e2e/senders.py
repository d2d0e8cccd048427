"""Several threads that send until they are told to stop."""

import threading


class Senders:
    """`run` in several threads from the begin of a `with` to its end, where `stopping` is set. A thread's own
    failure does not pass unseen: it is added to `mistakes`."""

    def __init__(self, threads):
        self.lock = threading.Lock()
        self.mistakes = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run_noted) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join()

    def is_sending(self):
        return any(thread.is_alive() for thread in self.threads)

    def run(self):
        raise NotImplementedError

    def _run_noted(self):
        try:
            self.run()
        except Exception as error:
            with self.lock:
                self.mistakes.append(repr(error))
