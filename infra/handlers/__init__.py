"""Lambda functions of the infrastructure itself: one file each, standard library and boto3."""
