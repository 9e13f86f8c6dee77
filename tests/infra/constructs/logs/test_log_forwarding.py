"""The forwarding of logs to the log domain: the splitter function, Firehose, what is refused."""

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Templates
from tests.infra.support.observability_harness import allowed, named, stack
from tests.infra.support.templates import only, resources, text


@pytest.fixture
def full(prod: Templates) -> Template:
    return prod["observability"]


def test_log_forwarding_delivers_within_the_vpc_and_keeps_refused_documents(full: Template) -> None:
    stream = only(full, "AWS::KinesisFirehose::DeliveryStream")
    to = stream["AmazonopensearchserviceDestinationConfiguration"]
    assert "Domain" in text(to["DomainARN"])
    assert (to["IndexName"], to["IndexRotationPeriod"]) == ("axon-logs", "OneDay")
    assert len(to["VpcConfiguration"]["SubnetIds"]) == 3
    assert "Clients" in text(to["VpcConfiguration"]["SecurityGroupIds"][0])
    assert to["S3BackupMode"] == "FailedDocumentsOnly"
    assert "Refused" in text(to["S3Configuration"]["BucketARN"])
    assert to["CloudWatchLoggingOptions"]["Enabled"] is True
    encryption = stream["DeliveryStreamEncryptionConfigurationInput"]
    assert encryption["KeyType"] == "CUSTOMER_MANAGED_CMK"


def test_log_forwarding_stream_is_created_after_its_permissions_and_the_domain(
    full: Template,
) -> None:
    (stream,) = full.find_resources("AWS::KinesisFirehose::DeliveryStream").values()
    policies = {name for name in resources(full, "AWS::IAM::Policy") if "ForwardingWriter" in name}
    assert policies
    assert set(stream["DependsOn"]) >= policies | set(full.find_resources("Custom::Trigger"))


def test_log_forwarding_writer_may_use_its_own_resources_only(full: Template) -> None:
    rights = allowed(full, "LogWriter")
    free = {action for action, where in rights.items() if "*" in where}
    assert free == {
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcAttribute",
        "ec2:DescribeVpcs",
    }
    assert all("Refused" in where for where in rights["s3:PutObject"])
    assert all("Domain" in where for where in rights["es:ESHttpPut"])
    assert not any("*" in action for action in rights)


def test_log_forwarding_keeps_refused_documents_private_and_as_long_as_logs(full: Template) -> None:
    name, bucket = named(full, "AWS::S3::Bucket", "Refused")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 90
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (policy,) = resources(full, "AWS::S3::BucketPolicy").values()
    assert policy["Bucket"] == {"Ref": name}
    assert {
        "Bool": {"aws:SecureTransport": "false"},
    } in [statement.get("Condition") for statement in policy["PolicyDocument"]["Statement"]]


def test_log_forwarding_splitter_is_invoked_by_log_groups_of_its_environment_only(
    full: Template,
) -> None:
    permission = only(full, "AWS::Lambda::Permission")
    assert permission["Principal"] == "logs.amazonaws.com"
    assert text(permission["SourceArn"]).endswith(":log-group:/axon/prod/*")
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    stream, _ = named(full, "AWS::KinesisFirehose::DeliveryStream", "Forwarding")
    rights = allowed(full, "Splitter")
    assert rights["firehose:PutRecordBatch"] == [f"{{{stream}.Arn}}"]
    assert set(rights) == {
        "firehose:PutRecordBatch",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_log_forwarding_watch_creates_a_filter_in_the_stack_of_the_group() -> None:
    _, other = stack(opensearch_instance_type="t3.small.search")
    template = Template.from_stack(other)
    logs, _ = named(template, "AWS::Logs::LogGroup", "Logs")
    subscription = only(template, "AWS::Logs::SubscriptionFilter")
    assert subscription["LogGroupName"] == {"Ref": logs}
    assert "Splitter" in text(subscription["DestinationArn"])
    assert subscription["FilterPattern"] == ""
    template.resource_count_is("AWS::Lambda::Permission", 0)


def test_log_forwarding_watch_does_nothing_without_a_domain() -> None:
    built, other = stack()
    Template.from_stack(other).resource_count_is("AWS::Logs::SubscriptionFilter", 0)
    Template.from_stack(built).resource_count_is("AWS::KinesisFirehose::DeliveryStream", 0)


def test_log_forwarding_does_not_forward_its_own_logs(full: Template) -> None:
    full.resource_count_is("AWS::Logs::SubscriptionFilter", 0)
