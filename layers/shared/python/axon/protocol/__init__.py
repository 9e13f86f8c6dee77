"""OpenAI wire objects: requests, response objects, events, errors."""
