"""Real servers from wheels: Valkey, PostgreSQL, and SQS and S3 by fauxqs."""
