"""What a worker does: takes visits in, asks, reads, and gives back what came of it. Knows neither ledger nor queue."""
