"""Responses from submission to termination: the services that begin, resume and end them."""
