"""All SQL: what a crawl knows, as one SQLite file that is written by one transaction at a time."""
