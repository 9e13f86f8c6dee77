"""The stages of an answer: retrieve, assemble, infer, post, stream."""
