"""Lambda functions of the deployment itself: standard library and boto3, a file a function."""
