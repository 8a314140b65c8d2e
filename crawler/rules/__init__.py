"""The rules of a crawl, pure: what goes in is all they know, and what comes out is all they do."""
