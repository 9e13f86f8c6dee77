"""The event log of a response: the protocol, delivery checkpoints, and what is published."""
