"""Jobs of the queue: received while there are free slots, invisible to others while they run."""
