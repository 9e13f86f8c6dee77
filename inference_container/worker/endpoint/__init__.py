"""An engine behind a SageMaker real-time endpoint: HTTP instead of queue, log and history."""
