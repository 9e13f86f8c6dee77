"""Permissions, and findings of cdk-nag and checkov that are accepted with a reason."""
