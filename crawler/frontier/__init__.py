"""Which URL is asked next, and when: a window on the ledger's queue. Knows no process, queue or network."""
