"""AWS APIs: SQS, ECS, Secrets Manager, API Gateway's management API, and request signing."""
