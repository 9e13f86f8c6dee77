"""The stages that an answer passes: retrieve, assemble, infer, post, stream."""
