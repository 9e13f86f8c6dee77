"""An environment's settings: read, validated, frozen."""
