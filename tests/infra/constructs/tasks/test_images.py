"""The image of a task, and the context of its build."""

import json
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk.assertions import Template

from infra.constructs.tasks.images import container_image
from infra.settings.sections import Architecture
from tests.infra.support.dockerfile import Dockerfile
from tests.infra.support.ecs_templates import Task, statements
from tests.infra.support.templates import text

DOCKERFILES = [
    "relay_container/Dockerfile",
    "inference_container/Dockerfile",
    "inference_container/Dockerfile.cpu",
    "front_container/Dockerfile",
]


def task_with(stack: Stack, image: ecs.ContainerImage) -> Template:
    task = ecs.FargateTaskDefinition(stack, "Task")
    task.add_container("main", image=image)
    return Template.from_stack(stack)


@pytest.mark.parametrize(
    ("dockerfile", "architecture", "platform"),
    [
        (DOCKERFILES[0], "arm64", "linux/arm64"),
        (DOCKERFILES[0], "x86_64", "linux/amd64"),
        (DOCKERFILES[1], "x86_64", "linux/amd64"),
        (DOCKERFILES[2], "x86_64", "linux/amd64"),
        (DOCKERFILES[3], "arm64", "linux/arm64"),
    ],
)
def test_image_build_context_has_exactly_what_the_dockerfile_copies(
    dockerfile: str, architecture: Architecture, platform: str, tmp_path: Path
) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "stack")
    image = container_image(
        stack, "Image", given=None, dockerfile=dockerfile, architecture=architecture
    )
    task_with(stack, image)
    manifest = json.loads((tmp_path / "stack.assets.json").read_text())
    (asset,) = (asset["source"] for asset in manifest["dockerImages"].values())
    assert (asset["dockerFile"], asset["platform"]) == (dockerfile, platform)
    context = tmp_path / asset["directory"]
    assert (context / dockerfile).is_file()
    copied = {source for stage in Dockerfile.read(dockerfile).stages for source, _ in stage.copies}
    assert all((context / source).exists() for source in copied)
    staged = {str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()}
    assert {
        file
        for file in staged
        if file != dockerfile and not any(Path(file).is_relative_to(source) for source in copied)
    } == set()
    assert not [file for file in staged if "__pycache__" in file]


@pytest.mark.parametrize(
    ("uri", "tail"),
    [
        ("210987654321.dkr.ecr.eu-west-1.amazonaws.com/axon/relay:1.2", "/axon/relay:1.2"),
        ("210987654321.dkr.ecr.eu-west-1.amazonaws.com/relay@sha256:0f", "/relay@sha256:0f"),
        ("210987654321.dkr.ecr.eu-west-1.amazonaws.com/relay", "/relay:latest"),
    ],
)
def test_image_in_ecr_may_be_pulled_from_its_repository_only(uri: str, tail: str) -> None:
    stack = Stack(App(), "stack")
    image = container_image(
        stack, "Image", given=uri, dockerfile=DOCKERFILES[0], architecture="arm64"
    )
    template = task_with(stack, image)
    found = text(Task.of(template).container("main")["Image"])
    assert found.startswith("210987654321.dkr.ecr.eu-west-1.")
    assert found.endswith(tail)
    allowed = statements(template, "TaskExecutionRole")
    (pull,) = (each for actions, each in allowed.items() if "ecr:BatchGetImage" in actions)
    name = tail.split(":", maxsplit=1)[0].split("@", maxsplit=1)[0]
    assert text(pull["Resource"]).endswith(f":ecr:eu-west-1:210987654321:repository{name}")


def test_image_in_a_public_registry_needs_no_permission() -> None:
    stack = Stack(App(), "stack")
    uri = "docker.io/example/relay:1.2"
    image = container_image(
        stack, "Image", given=uri, dockerfile=DOCKERFILES[0], architecture="arm64"
    )
    template = task_with(stack, image)
    assert Task.of(template).container("main")["Image"] == uri
    assert statements(template, "TaskExecutionRole") == {}
