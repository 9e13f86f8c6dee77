"""The CloudFormation stacks: they compose constructs, and are given what exists before them."""
