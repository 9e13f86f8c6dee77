"""Buckets with their tags, by which CDK's own function knows those that it may empty."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.deploy.emulator.ministack import provisioners, s3


def register() -> None:
    """Give new buckets the tags of their template; ministack leaves them out."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create: Callable[..., tuple[str, dict[str, str]]] = handlers["create"]

    def create_tagged(
        logical_id: str, properties: Mapping[str, Any], stack: str
    ) -> tuple[str, dict[str, str]]:
        name, attributes = create(logical_id, properties, stack)
        if tags := properties.get("Tags"):
            s3._bucket_tags[name] = {each["Key"]: each["Value"] for each in tags}
        return name, attributes

    handlers["create"] = create_tagged
