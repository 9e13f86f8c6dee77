"""A small HTTP/1.1 for the control planes of the stand-ins."""
