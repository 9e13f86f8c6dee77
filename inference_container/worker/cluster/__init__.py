"""A worker among its peers: registration, routing, and jobs that peers hand over."""
