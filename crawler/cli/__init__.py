"""The command line: words become options and commands, what comes of them text. Nothing below knows of it."""
