"""Certificates of one's own for 127.0.0.1, made by Debian's openssl."""

import pathlib
import subprocess
from dataclasses import dataclass


@dataclass
class Certificate:
    """Vouches for itself: `certificate` is also the file of authorities."""

    certificate: pathlib.Path
    key: pathlib.Path

    def options(self):
        return ["--tls-cert", str(self.certificate), "--tls-key", str(self.key)]

    def replace_by(self, other):
        """As programs that renew certificates do it: each file is replaced as a whole."""
        for mine, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            fresh = mine.with_suffix(".new")
            fresh.write_bytes(theirs.read_bytes())
            fresh.rename(mine)


def make(folder, name="server"):
    folder = pathlib.Path(folder)
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made.key, "-out", made.certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return made
