import json
from pathlib import Path
from typing import Any

from infra.deploy.report import describe, read_outputs
from infra.settings.environment import EnvironmentSettings

OUTPUTS = {
    "WebSocketUrl": "wss://abc.execute-api.eu-central-1.amazonaws.com",
    "HttpUrl": "https://axon-dev.elb.amazonaws.com/v1",
    "ModelsBucket": "axon-dev-models",
}


def described(outputs: dict[str, str] = OUTPUTS, **given: Any) -> str:
    settings = EnvironmentSettings.model_validate({"name": "dev", **given})
    return describe(settings, outputs, region="eu-central-1")


def test_report_reads_the_outputs_of_all_stacks(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({"axon-dev-data": {"A": "1"}, "axon-dev-relay": {"B": "2"}}))
    assert read_outputs(path) == {"A": "1", "B": "2"}


def test_report_has_the_addresses_and_the_first_steps() -> None:
    text = described()
    assert text.startswith("Axon dev stands in eu-central-1.")
    assert "WebSocket  wss://abc.execute-api.eu-central-1.amazonaws.com " in text
    assert ".venv/bin/axon keys create --env dev --region eu-central-1 me" in text
    assert "smollm2-135m-instruct" in text


def test_report_snippet_is_valid_python() -> None:
    snippet = described().split("Then:\n\n")[1]
    compiled = compile(snippet, "snippet", "exec")
    assert "OpenAI" in compiled.co_names
    assert f'websocket_base_url="{OUTPUTS["WebSocketUrl"]}"' in snippet
    assert f'base_url="{OUTPUTS["HttpUrl"]}"' in snippet


def test_report_asks_for_the_upload_of_the_model() -> None:
    inference = {"engine": "vllm", "model_uri": "models://big", "capacity": {"kind": "gpu"}}
    assert "aws s3 sync ./big s3://axon-dev-models/big" in described(inference=inference)
    assert "aws s3 sync" not in described()


def test_report_says_where_the_name_of_a_given_certificate_leads() -> None:
    text = described({**OUTPUTS, "HttpTarget": "axon-dev.elb.amazonaws.com"})
    assert "that front.certificate_arn covers to axon-dev.elb.amazonaws.com;" in text
    assert "front.certificate_arn" not in described()


def test_report_lists_the_other_manual_steps() -> None:
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    text = described(
        {**OUTPUTS, "DomainTarget": "d-1.execute-api.eu-central-1.amazonaws.com"},
        gateway={"domain_name": "axon.example.com", "certificate_arn": arn},
        observability={"alarm_email": "on-call@example.com"},
    )
    assert (
        "Point a CNAME record of axon.example.com to d-1.execute-api.eu-central-1.amazonaws.com."
        in text
    )
    assert "Alarms go to on-call@example.com once the e-mail from AWS is confirmed." in text
