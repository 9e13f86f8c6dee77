"""An environment with settings that neither dev nor prod has: TLS, Spot, EFA, no protection."""

from functools import cache
from pathlib import Path

import pytest

from tests.infra.conftest import Synthesised, synthesise

CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/front"
WEB_ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/axon/1"
SETTINGS = f"""
name = "variant"
region = "eu-west-1"
account = "123456789012"

[relay]
architecture = "x86_64"
spot = true
image = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/axon/relay:1.2"

[front]
home = "balancer"
architecture = "x86_64"
certificate_arn = "{CERTIFICATE}"
web_acl_arn = "{WEB_ACL}"
cors_origins = ["https://app.example", "http://localhost:3000"]
playground = true

[inference]
engine = "vllm"
model_name = "large"
model_uri = "s3://their-bucket/models/large"
model_folders = ["models://", "s3://other-bucket/tried"]
tensor_parallel_size = 16
max_model_len = 8192
min_tasks = 1
max_tasks = 3
image = "docker.io/example/worker@sha256:0123"

[inference.vllm]
scheduling_policy = "priority"
enable_sleep_mode = true
gpu_memory_utilization = 0.85

[inference.capacity]
kind = "gpu"
instance_types = ["p5.48xlarge"]
gpus_per_instance = 8
nodes_per_model = 2
spot_percent = 30

[observability]
tracing = false
opensearch_instance_type = "t3.small.search"
"""


def synthesised_variant(factory: pytest.TempPathFactory) -> Synthesised:
    """Return the synthesised environment, made once a session."""
    return _synthesised(factory.getbasetemp() / "variant")


@cache
def _synthesised(folder: Path) -> Synthesised:
    folder.mkdir()
    file = folder / "variant.toml"
    file.write_text(SETTINGS)
    return synthesise(str(file), folder / "out")
