"""The copy: saved bodies, and their links made relative. Knows neither the frontier, nor the queue, nor the network."""
