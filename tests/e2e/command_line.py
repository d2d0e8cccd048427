"""Runs the program's commands against a server."""

import json
import os
import subprocess

from sterna import BINARY


class Cli:
    def __init__(self, url, folder, environment=None):
        self.url, self.folder, self.environment = url, folder, environment or {}

    def run(self, *arguments, data=None):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("STERNA_")}
        return subprocess.run(
            [str(BINARY), *map(str, arguments)], env={**clean, "STERNA_URL": self.url, **self.environment}, cwd=self.folder, input=data or "",
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.ok(*arguments, "--json"))
