"""Lambda functions: those of the catalog, those of the infrastructure, layers and roles."""
