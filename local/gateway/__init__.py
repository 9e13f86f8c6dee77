"""A strict stand-in for API Gateway's WebSocket APIs."""
