"""The CDK application: settings of an environment in, CloudFormation templates out."""
