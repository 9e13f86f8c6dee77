"""Output items of a response: state machines without I/O that give the events of one item each."""
