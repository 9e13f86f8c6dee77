"""The report after a deployment: addresses, and the first steps of a client."""

import json
from collections.abc import Mapping
from pathlib import Path

from axon.protocol.sizes import FRAME_BYTES, MESSAGE_BYTES
from infra.settings.environment import EnvironmentSettings

SNIPPET = """\
from openai import OpenAI  # pip install 'openai[realtime]'

client = OpenAI(
    api_key="<the key>",
    base_url="{http}",
    websocket_base_url="{websocket}",
)
request = {{"model": "{model}", "input": "What is the capital of France?"}}
for event in client.responses.create(stream=True, **request):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
with client.responses.connect() as connection:  # the same over WebSocket
    connection.response.create(**request)
    for event in connection:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        if event.type == "response.completed":
            break"""


def read_outputs(path: Path) -> dict[str, str]:
    """Read the outputs of all stacks from the file that `cdk deploy` wrote."""
    stacks: Mapping[str, Mapping[str, str]] = json.loads(path.read_text())
    return {name: value for outputs in stacks.values() for name, value in outputs.items()}


def describe(settings: EnvironmentSettings, outputs: Mapping[str, str], *, region: str) -> str:
    """Return the report: addresses, manual steps, the first key, and a client's code."""
    websocket, http = outputs["WebSocketUrl"], outputs["HttpUrl"]
    model = settings.inference.model_name
    snippet = SNIPPET.format(http=http, websocket=websocket, model=model)
    key = f".venv/bin/axon keys create --env {settings.name} --region {region} me"
    addresses = (
        f"WebSocket  {websocket}  (SDKs append /responses)\n"
        f"HTTP       {http}  (Responses, Chat Completions, Messages)\n"
        f"Model      {model}\n"
        f"Limits     WebSocket: {FRAME_BYTES // 1024} KB a frame, {MESSAGE_BYTES // 1024} KB a "
        "message (API Gateway), and SDKs send a message as one frame; longer ones go over HTTP"
    )
    parts = [
        f"Axon {settings.name} stands in {region}.",
        addresses,
        *_first(settings, outputs),
        f"Make the first key:\n\n  {key}",
        f"Then:\n\n{snippet}",
    ]
    return "\n\n".join(parts)


def _first(settings: EnvironmentSettings, outputs: Mapping[str, str]) -> list[str]:
    """Return the manual steps that a working deployment still needs."""
    steps = []
    uri = settings.inference.model_uri or ""
    if uri.startswith("models://") and "ModelsBucket" in outputs:
        folder = uri.removeprefix("models://")
        target = f"s3://{outputs['ModelsBucket']}/{folder}"
        steps.append(
            f"Workers load the model from {target}; if it is not there yet:\n\n"
            f"  aws s3 sync ./{folder} {target}"
        )
    if "DomainTarget" in outputs:
        steps.append(
            f"Point a CNAME record of {settings.gateway.domain_name} to {outputs['DomainTarget']}."
        )
    if "HttpTarget" in outputs:
        steps.append(
            "Point a CNAME record of a name that front.certificate_arn covers to "
            f"{outputs['HttpTarget']}; that name is the one to use for HTTP."
        )
    if settings.observability.alarm_email is not None:
        steps.append(
            f"Alarms go to {settings.observability.alarm_email} once the e-mail from AWS is "
            "confirmed."
        )
    return steps
