"""One attempt at a job, and what becomes of its message."""
