"""One run, told by its coordinator: workers, the queue with its consumers, and when it ends. Knows neither api nor cli."""
