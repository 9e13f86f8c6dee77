"""The older Completions: a view of the Responses API in which a prompt is one user's message."""
