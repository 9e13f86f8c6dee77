"""The front: HTTP for clients, JSON and server-sent events, over the library's services."""
