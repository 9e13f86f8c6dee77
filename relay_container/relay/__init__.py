"""The relay: carries events from the event log to the clients' WebSocket connections."""
