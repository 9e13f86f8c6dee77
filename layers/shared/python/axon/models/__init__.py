"""Models that are served: the operator's desired state, the admin service and its commands."""
