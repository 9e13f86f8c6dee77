import json
from pathlib import Path

from infra.deploy.templates import Templates


def test_templates_count_resources_and_those_that_are_kept(tmp_path: Path) -> None:
    kept = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
    snapshot = {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Snapshot"}
    gone = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete"}
    data = {"Resources": {"A": kept, "B": kept, "C": gone, "D": snapshot}}
    (tmp_path / "axon-dev-data.template.json").write_text(json.dumps(data))
    network = {"Resources": {"Vpc": {"Type": "AWS::EC2::VPC"}}}
    (tmp_path / "axon-dev-network.template.json").write_text(json.dumps(network))
    (tmp_path / "manifest.json").write_text("{}")
    templates = Templates.read(tmp_path)
    assert list(templates.stacks) == ["axon-dev-data", "axon-dev-network"]
    assert templates.resources == 5
    assert templates.kept == {"AWS::S3::Bucket": 2, "AWS::RDS::DBInstance": 1}
