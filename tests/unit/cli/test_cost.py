import json
from pathlib import Path

import pytest

from cli.main import main


def out(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cost", *arguments]) == 0
    return capsys.readouterr().out


def test_cost_estimates_dev_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys)
    assert text.startswith("Axon dev in us-east-1: ")
    assert "A month without requests" in text
    assert "A million requests over WebSocket" in text
    assert "A million requests over HTTP" in text
    ways = text.split("One answer, by the way it is asked for; USD")[1].split("Assumed")[0]
    assert [line.split("  ")[0] for line in ways.strip().splitlines()[1:]] == [
        "WebSocket, API Gateway",
        "HTTP, a function URL",
        "HTTP, a balancer",
        "a large input, on top",
    ]
    # Put once, read twice, 5 MB kept for a day.
    assert ways.strip().splitlines()[-1].split()[-2:] == ["0.000010", "0.00"]
    assert "- data transfer: out to clients" in text


def test_cost_lists_every_line_and_their_sum(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "--env", "prod")
    month = text.split("A month without requests")[1].split("A million")[0]
    amounts = [
        float(line.removesuffix(" *").split()[-1].replace(",", ""))
        for line in month.strip().splitlines()[1:]
    ]
    assert amounts[-1] == pytest.approx(sum(amounts[:-1]), abs=0.01 * len(amounts))
    assert any(line.startswith("NAT gateways ") for line in month.splitlines())


def test_cost_marks_unconfirmed_prices(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "--env", "prod")
    (line,) = [line for line in text.splitlines() if line.startswith("RDS Proxy ")]
    assert line.endswith(" *")
    assert "\n- RDS Proxy: " in text.split("* Prices that no dated document confirms")[1]


def test_cost_takes_assumptions_as_flags(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(out(capsys, "--json", "--tokens", "2", "--seconds", "0.1"))
    assert told["assumptions"]["tokens"] == 2
    (messages,) = [
        line["quantity"]
        for line in told["million_requests"]["lines"]
        if line["what"] == "API Gateway: messages"
    ]
    assert messages == 1 + 4 + 2 + 4


def test_cost_takes_a_settings_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nregion = "eu-central-1"\n[valkey]\nnode_type = "cache.r7g.16xlarge"\n'
    )
    text = out(capsys, "--env", str(path))
    assert text.startswith("Axon mine in eu-central-1: ")
    assert (
        "- valkey.node_type: no price is known for cache.r7g.16xlarge in eu-central-1; add it to"
        in text
    )
    assert "total, without what has no known price" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--env", "nowhere"], "axon: there is no environment nowhere: use dev, prod, or the path"),
        (["--region", "mars-1"], "axon: there are no prices for mars-1: estimate with --region "),
    ],
)
def test_cost_reports_an_error_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["cost", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(complaint)
    assert error.count("\n") == 1


def test_cost_refuses_negative_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cost", "--tokens", "-1"])
    assert "must be 0 or more" in capsys.readouterr().err
