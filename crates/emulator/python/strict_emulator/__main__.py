"""Starts the emulator: `python -m strict_emulator --port 0 [--plain]`.

Prints one line, `ready http://127.0.0.1:PORT`, when it answers, and ends when
its standard input does, so that nothing is left when the parent dies.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading


def main() -> None:
    """Parses the arguments and serves until standard input ends."""
    parser = argparse.ArgumentParser(prog="strict_emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--plain", action="store_true", help="moto without the strict rules")
    parser.add_argument("--account", default="123456789012", help="the emulated account")
    arguments = parser.parse_args()

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    if not sys.stdin.isatty():
        # An interrupt in a terminal goes to the whole process group; the
        # parent decides when the emulator ends, by closing standard input.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    from . import server

    threading.Thread(target=end_with_input, daemon=True).start()
    server.serve(arguments.port, plain=arguments.plain, account=arguments.account)


def end_with_input() -> None:
    """Waits for the end of standard input, then ends the process."""
    while sys.stdin.buffer.read(4096):
        pass
    sys.stderr.flush()
    # Requests in flight have nobody left to answer to.
    os._exit(0)


if __name__ == "__main__":
    main()
