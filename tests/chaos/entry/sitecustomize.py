"""Python imports this at the start of every process of a crawl under test: its folder is on PYTHONPATH."""

from tests.chaos import sabotage

sabotage.enter()
