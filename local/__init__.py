"""The local cloud: every part of Axon on one machine, each in its own process. Never shipped."""
