"""The description of the API, made of the table of routes and its models."""
