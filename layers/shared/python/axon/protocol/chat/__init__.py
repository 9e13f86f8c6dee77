"""Chat Completions: a view of the Responses API, by pure translators of requests and events."""
