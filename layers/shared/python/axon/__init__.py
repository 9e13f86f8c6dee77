"""The library that Axon's Lambda functions and containers share."""
