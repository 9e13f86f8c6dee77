"""Parts that the stacks are put together from: a file a capability."""
