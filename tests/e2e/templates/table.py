"""One row for each template: how the same handlers, written for it in the folder of that name, are deployed.

A new template is a folder and a row. The handlers answer by path:

    /mirror              the request as JSON: method, path, query, headers, body in base64
    /echo                the body, as application/octet-stream
    /answer              418 with X-Tea twice, a hop-by-hop header, and "tea"
    /large?bytes=N       N times "x"
    /stream              "part 0", "part 1", "part 2", a line each, 0.3 s apart
    /log?word=W          logs "to stdout W" and "to stderr W", answers "logged"
    /sleep?seconds=S     answers "slept" after S seconds
    /until-cancelled     a part each 20 ms, without end; logs "cleaned up" when the call is cancelled
    /fail                fails with the text "on purpose" in its log
    /leave               ends the process with exit code 3
    /crash               ends the process by SIGABRT
    /kill                ends the process by SIGKILL
    /environment         COLOUR and STERNA_FUNCTION of its environment, as JSON
"""

import pathlib
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).parent


@dataclass(frozen=True)
class Template:
    name: str
    folder: str
    fields: dict = field(default_factory=dict)
    sets_status: bool = True  # the function can answer another status than 200, and headers
    repeats_headers: bool = True  # repeated request headers arrive one by one
    reports_failures: bool = True  # false: what fails in the function is an answer of its own
    ends_by_itself: bool = True  # what ends is a process of the function's own, and Sterna tells how
    cleans_up: bool = True  # the function hears of the end of its time, and what it logs then is its call's
    stays: bool = False  # the worker outlives the function's process
    concurrency: int = 1  # calls at a time of one worker when nobody says

    def files(self):
        paths = sorted(path for path in (HERE / self.folder).iterdir() if path.is_file())
        return {path.name: path.read_bytes() for path in paths}

    def deploy(self, server, name, **fields):
        body = {"env": {"COLOUR": "blue"}, **self.fields, **fields}
        body["limits"] = {**self.fields.get("limits", {}), **fields.get("limits", {})}
        return server.deploy(name, self.files(), template=self.name, **body)


TEMPLATES = [
    Template("python3-http", "python3", ends_by_itself=False),
    Template("node-http", "node", repeats_headers=False, ends_by_itself=False),
    Template("cpp", "cpp", ends_by_itself=False),
    Template("http", "http", reports_failures=False, cleans_up=False, concurrency=64),
    Template("lambda", "lambda", repeats_headers=False, cleans_up=False),
    Template("command", "command", sets_status=False, repeats_headers=False, cleans_up=False, stays=True),
]
