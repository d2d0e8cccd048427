"""Starts a worker or a zygote."""

import argparse
import faulthandler
import os
import sys

from . import boot, warm


def main():
    parser = argparse.ArgumentParser(prog="sterna_worker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve", help="serve on descriptors that the caller passes on; no sandbox"
    )
    serve.add_argument("--socket-fd", type=int, required=True)
    serve.add_argument("--claim-fd", type=int, required=True)
    serve.add_argument("--output-fd", type=int, help="becomes standard output and error")
    zygote = commands.add_parser(
        "zygote", help="turn forks into sandboxed workers (src/zygote/CONTROL.md)"
    )
    zygote.add_argument("--control-fd", type=int, required=True)
    options = parser.parse_args()

    if options.command == "zygote":
        faulthandler.enable(2)
        sys.exit(warm.run_zygote(options.control_fd))
    _set_up_descriptors(options.output_fd)
    boot.run(options.socket_fd, options.claim_fd)


def _set_up_descriptors(output_fd):
    """What does not go through LOG frames goes to the output pipe."""
    if output_fd is not None:
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        os.close(output_fd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    faulthandler.enable(2)


main()
