"""What each capability adds to the ledger, a file each: its tables, its views, and how a result is applied.

A new one is a file here, a line in `registry.FEATURES`, and, as ledgers of older versions are to have it, too, a step
in `migrations`. None knows another, but that views ask views, and pages show the purposes of `frontier`.
"""
