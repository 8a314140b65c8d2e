"""`python -m crawler` and the program `poolcrawl`: see `cli.main`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, and return its exit code."""
    from crawler.cli import main as cli  # here: children import the main module again, and need no command line

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
