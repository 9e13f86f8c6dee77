"""The worker as a SageMaker endpoint: /ping and /invocations."""
