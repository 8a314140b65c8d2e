"""Measurements of the crawler, alone and beside its peers: programs, not tests.

`python -m benchmarks --help` names them. `sites` serves, `measure` runs a command and says what it cost, `peers` knows
the contenders and how each is set up, `compare` lets them run in turn. Linux only (PSS and processor time are read from
/proc). Nothing here is imported by the crawler, or part of the package.
"""
