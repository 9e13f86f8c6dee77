"""Parsers: what a model writes, as text, reasoning and calls. State machines without I/O.

A parser's pieces depend on the text alone, and not on how it was cut into chunks: after each text
they are those of the text's beginning. So an attempt that continues an answer feeds a new parser
with the text of the logged tokens first.
"""
