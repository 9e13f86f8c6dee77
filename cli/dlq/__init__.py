"""`axon dlq`: dead-letter queues here or on AWS."""
