"""The crawler for programs: from seeds and options to a run and a report. Runs in the coordinator; prints nothing."""
