"""One run, told by its coordinator: workers, the queue with its consumers, and the end. Knows neither api nor cli."""
