"""vLLM in process: production's engine."""
