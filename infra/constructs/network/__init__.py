"""Security groups and the public endpoints: the WebSocket API and the load balancer."""
