"""Anthropic's Messages API as a view of responses: pure translators, without I/O."""
