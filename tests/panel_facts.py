"""Facts of a crawl that never was, for the panel's tests and its picture: `python -m tests.panel_facts` draws it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crawler.cli.panel.facts import Error, Facts, FailingHost, SlowHost
from crawler.cli.panel.layout import lay_out

PICTURE = Path(__file__).parent.parent / "docs" / "panel.svg"
COLUMNS = 92

FACTS = Facts(
    ledger="crawl.db",
    elapsed_seconds=754.3,
    pages=12_345,
    pages_per_second=18.24,
    average_per_second=16.37,
    queued=3_210,
    handed_out=412,
    failed=12,
    failed_reasons=(("timeout", 8), ("refused", 4)),
    client_errors=7,
    skipped=43,
    skipped_by_robots=40,
    items=1_204,
    item_errors=3,
    bytes=182_300_000,
    busy_hosts=8,
    waiting_hosts=17,
    max_pages=20_000,
    max_seconds=0.0,
    left_seconds=420.0,
    slow=(SlowHost("https://slow.example", 4.21), SlowHost("https://archive.example:8443", 1.18)),
    failing=(FailingHost("https://gone.example", 12, "refused"), FailingHost("https://busy.example", 2, "status 503")),
    errors=(
        Error("14:05:09", "404 Not Found", "https://www.example.org/a/rather/long/path/to/a/page/old.html", ""),
        Error("14:05:01", "timeout", "https://slow.example/report", "no whole answer within timeout_seconds"),
        Error("14:04:48", "410 Gone", "https://www.example.org/2009/", ""),
    ),
    is_stopping=False,
)


def picture() -> str:
    """Return the panel as an SVG."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS + 1, force_terminal=True, color_system="truecolor")
    console.print(Text("$ python -m crawler seeds.txt --max-pages 20000", "bold"))
    console.print("13:52:35 12 new seeds", highlight=False)
    for line in lay_out(FACTS, COLUMNS, 24):
        console.print(line, soft_wrap=True)
    return console.export_svg(title="poolcrawl", unique_id="panel")


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
