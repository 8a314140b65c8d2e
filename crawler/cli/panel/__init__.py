"""The live panel: where a running crawl stands, on a terminal.

    engine ── count, show ─► Panel (facts, in the coordinator's thread) ─► Terminal (a thread of its own) ─► stderr
    logging ── write ──────────────────────────────────────────────────────────┘        layout: facts as lines

Three files: `facts` gathers, in bounded memory; `layout` makes lines of it, for a window of any size; `terminal` puts
them on the screen, with the log lines above. rich is imported by the terminal's thread only, and the crawl never waits
for a terminal. Of the engine it knows `Progress`; must not know the frontier or any process.
"""
