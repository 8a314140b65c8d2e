"""`python -m crawler config`: the options as a crawl would have them here and now, and where each comes from.

Takes the options of a crawl, so that the command line to be tried is typed once more with the word `config` in it. It
must not know seeds, ledgers or the web: it reads options only. Runs in the process that prints.
"""

from __future__ import annotations

import argparse
import json
import os

import msgspec

from crawler.cli import layers
from crawler.cli.arguments import Parser
from crawler.cli.option_files import as_toml
from crawler.cli.options import add_options, flag_of, read_flags
from crawler.text import printable


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(
        name,
        description="Show each option's value and where it comes from: default, config file, environment\n"
        "(POOLCRAWL_MAX_PAGES=500), -s KEY=VALUE or flag, of which the later one wins.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON: {KEY: {value, source}}")
    add_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print every option."""
    found = layers.read_layers(arguments.config, arguments.set or [], read_flags(arguments), os.environ)
    values = msgspec.structs.asdict(layers.put_together(found))
    sources = dict.fromkeys(values, "default")
    for layer in found:
        sources.update({key: _describe(layer.source, key) for key in layer.values})
    if arguments.json:
        print(json.dumps({key: {"value": values[key], "source": sources[key]} for key in values}, indent=2))
        return 0
    shown = {key: as_toml(value) for key, value in values.items()}
    widths = max(map(len, shown)), min(max(map(len, shown.values())), 40)
    for key, text in shown.items():
        print(f"{key:<{widths[0]}} = {text:<{widths[1]}}  {printable(sources[key])}".rstrip())
    return 0


def _describe(source: str, key: str) -> str:
    if source == layers.ENVIRONMENT:
        return f"{layers.ENVIRONMENT} {layers.ENVIRONMENT_PREFIX}{key.upper()}"
    return f"flag {flag_of(key)}" if source == layers.FLAGS else source
