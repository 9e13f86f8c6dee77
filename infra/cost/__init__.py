"""What an environment costs: while nobody asks, and for a million requests."""
