"""Starts a worker: `python3 -m sterna_worker serve --socket-fd N --claim-fd M [--output-fd K]`."""

import argparse

from . import boot


def main():
    parser = argparse.ArgumentParser(prog="sterna_worker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve on descriptors that the caller passes on; no sandbox")
    serve.add_argument("--socket-fd", type=int, required=True)
    serve.add_argument("--claim-fd", type=int, required=True)
    serve.add_argument("--output-fd", type=int)
    options = parser.parse_args()
    boot.run(options.socket_fd, options.claim_fd, options.output_fd)


main()
