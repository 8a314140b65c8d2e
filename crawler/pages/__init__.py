"""What bytes say: pages, stylesheets, encodings. Pure: no file, no socket, no clock, and nothing of the crawl."""
