"""The kill-anywhere suite: named faults at named stages of a crawl over the synthetic web, and one oracle for all.

    faults     the table: what may be done to a crawl, from outside and, at a stage, from inside
    sabotage   the inside: runs in the crawl's own processes, brought in by `entry/sitecustomize.py`
    running    a crawl as a command, life after life, under a watchdog that names the line of a hang
    oracle     what must be true of it in the end
    hooks      parse hooks and set-up hooks that misbehave
    __main__   the program: `python -m tests.chaos --minutes 10 --seed 7`

The product knows nothing of this: no line of it is there to be tested.
"""
