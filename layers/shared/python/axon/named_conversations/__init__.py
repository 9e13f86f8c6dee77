"""Named conversations: created by clients, and continued by their own id."""
