"""The buckets of the data stack: private, encrypted, expiring."""

from aws_cdk.assertions import Match

from tests.infra.conftest import Templates
from tests.infra.support.templates import resources, text

KEY = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}


def test_buckets_are_private_encrypted_and_take_tls_only(prod: Templates) -> None:
    buckets = resources(prod["data"], "AWS::S3::Bucket")
    policies = {
        text(policy["Bucket"]): policy["PolicyDocument"]["Statement"]
        for policy in resources(prod["data"], "AWS::S3::BucketPolicy").values()
    }
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
        denied = [each["Condition"] for each in policies[f"{{{name}}}"] if each["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied


def test_models_bucket_is_encrypted_with_the_key_versioned_and_logged(prod: Templates) -> None:
    prod["data"].has_resource_properties(
        "AWS::S3::Bucket",
        {
            "BucketName": {"Fn::Join": ["", Match.array_with(["axon-prod-models-"])]},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {
                        "BucketKeyEnabled": True,
                        "ServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": KEY,
                        },
                    }
                ]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "LoggingConfiguration": {
                "DestinationBucketName": {"Ref": Match.string_like_regexp("AccessLogs")},
                "LogFilePrefix": "models/",
            },
        },
    )


def test_payloads_expire_after_every_message_that_refers_to_them(prod: Templates) -> None:
    (bucket,) = (
        each
        for each in resources(prod["data"], "AWS::S3::Bucket").values()
        if "-payloads-" in text(each["BucketName"])
    )
    days = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "Prefix" in rule
    }
    # Jobs, their dead letters, the history of those, its dead letters, and again after a redrive.
    assert days == {"stored/": 5 * 14, "unstored/": 2, "uploads/": 1}
    assert "VersioningConfiguration" not in bucket
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert encryption["BucketKeyEnabled"] is True
    assert "CorsConfiguration" not in bucket


def test_buckets_of_dev_are_emptied_before_removal(dev: Templates, prod: Templates) -> None:
    dev["data"].resource_count_is("Custom::S3AutoDeleteObjects", 3)
    prod["data"].resource_count_is("Custom::S3AutoDeleteObjects", 0)
