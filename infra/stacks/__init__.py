"""The CloudFormation stacks. They compose constructs and nothing else."""
