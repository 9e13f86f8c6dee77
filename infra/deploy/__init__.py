"""What `make synth`, `make deploy` and `make destroy` do around the `cdk` command."""
