"""Scripts in Valkey, each at its documented maximum: server time, commands and bytes."""
