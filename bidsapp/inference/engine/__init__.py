"""The engine that follows shuffles: batches, what of them is kept, when there were enough."""
