"""The Responses WebSocket of the front: many requests on one socket, each followed in its log."""
