"""Container images: the one that the settings name, or one built from this repository."""

import re
from pathlib import Path

from aws_cdk import IgnoreMode, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.settings.sections import Architecture

ROOT = Path(__file__).resolve().parents[3]

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<name>[^:@]+)(?:[:@](?P<version>.+))?"
)
_PLATFORMS = {
    "arm64": ecr_assets.Platform.LINUX_ARM64,
    "x86_64": ecr_assets.Platform.LINUX_AMD64,
}


def container_image(
    scope: Construct, id: str, *, given: str | None, dockerfile: str, architecture: Architecture
) -> ecs.ContainerImage:
    """Return the image `given` (a URI), or else one built from `dockerfile`.

    An image in ECR comes with the permission to pull it; other registries must be public.
    """
    if given is None:
        return ecs.ContainerImage.from_docker_image_asset(
            _asset(scope, id, dockerfile=dockerfile, architecture=architecture)
        )
    if (uri := _ECR.fullmatch(given)) is None:
        return ecs.ContainerImage.from_registry(given)
    arn = (
        f"arn:{Stack.of(scope).partition}:ecr:{uri['region']}:{uri['account']}:"
        f"repository/{uri['name']}"
    )
    repository = ecr.Repository.from_repository_attributes(
        scope, id, repository_arn=arn, repository_name=uri["name"]
    )
    return ecs.ContainerImage.from_ecr_repository(repository, uri["version"])


def _asset(
    scope: Construct, id: str, *, dockerfile: str, architecture: Architecture
) -> ecr_assets.DockerImageAsset:
    """Return the image built from the repository root, filtered by the Dockerfile's ignore file."""
    ignored = (ROOT / f"{dockerfile}.dockerignore").read_text().splitlines()
    return ecr_assets.DockerImageAsset(
        scope,
        id,
        directory=str(ROOT),
        file=dockerfile,
        platform=_PLATFORMS[architecture],
        # CDK reads only a file named `.dockerignore`, so it would copy the whole repository.
        ignore_mode=IgnoreMode.DOCKER,
        exclude=[
            *(line for line in ignored if line and not line.startswith("#")),
            f"!{dockerfile}",
        ],
    )
