"""Lambda functions: code, layers, roles, and those of the deployment itself."""
