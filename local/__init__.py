"""The local cloud: every part of Axon on one machine, each in its own process.

It runs from a checkout and from the wheel, and is no part of what is deployed to AWS.
"""
