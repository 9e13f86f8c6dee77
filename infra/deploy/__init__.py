"""The commands behind `make synth`, `make deploy` and `make destroy`, around ``cdk``."""
