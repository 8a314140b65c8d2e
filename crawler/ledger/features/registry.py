"""The features of the ledger, in the order in which their tables are made and a batch is applied to them.

Must not know what a feature does. Runs wherever a ledger is written or read.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features import attempts, fragments, frontier, hosts, items, links, pages, runs
from crawler.ledger.features.feature import Feature

FEATURES: Final[tuple[Feature, ...]] = (
    runs.FEATURE,
    hosts.FEATURE,
    frontier.FEATURE,
    pages.FEATURE,
    items.FEATURE,
    links.FEATURE,
    fragments.FEATURE,
    attempts.FEATURE,
)

#: all tables of a new ledger, as a script
TABLES: Final = "".join(feature.tables for feature in FEATURES)
#: name → select, of all views; a view stands behind those that it is made of
VIEWS: Final = {name: select for feature in FEATURES for name, select in feature.views.items()}
#: what a batch goes through
APPLY: Final = tuple(feature.apply for feature in FEATURES if feature.apply is not None)
