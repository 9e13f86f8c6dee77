"""Jobs of the queue: received for free slots and kept invisible while they run."""
