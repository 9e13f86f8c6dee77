"""Cost estimate of an environment: an idle month, and a million requests."""
