"""`python -m crawler`: see `cli`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from crawler.cli import main  # here: each child imports this module again, and has no use for a command line

    sys.exit(main())
