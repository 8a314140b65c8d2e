"""`python -m benchmarks COMMAND`."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import compare, growth, wide

# each: a docstring, add_arguments(parser), main(arguments) -> exit code
COMMANDS = {"compare": compare, "wide": wide, "growth": growth}


def main() -> int:
    """Parse the command line and run the command that it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measurements of the crawler.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        module.add_arguments(commands.add_parser(name, help=summary.partition(": ")[2], description=summary))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        exit_code: int = COMMANDS[arguments.command].main(arguments)
    except KeyboardInterrupt:  # servers and contenders have been stopped on the way here
        return 130
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
