"""Security groups and the ways in: the WebSocket API and the load balancer."""
