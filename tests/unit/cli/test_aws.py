"""Commands that cannot reach AWS: by SQS (`dlq`) and by Lambda (`keys`)."""

import pytest

from tests.unit.cli.command_harness import failure

ON_AWS = [("dlq", "list"), ("keys", "list")]


@pytest.mark.parametrize("command", ON_AWS)
def test_command_without_credentials_says_how_to_get_some(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, line = failure(capsys, *command, "--env", "prod")
    assert code == 2
    assert "no AWS credentials found; set AWS_PROFILE" in line


@pytest.mark.parametrize("command", ON_AWS)
def test_command_without_a_region_asks_for_one(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    expected = (2, "no AWS region; give one with --region")
    assert failure(capsys, *command, "--env", "prod") == expected


@pytest.mark.parametrize("command", ON_AWS)
def test_command_with_an_unknown_profile_names_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    expected = (1, "The config profile (nobody) could not be found")
    assert failure(capsys, *command, "--env", "prod") == expected


@pytest.mark.parametrize("command", ON_AWS)
def test_command_with_a_region_needs_an_environment(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    expected = (2, "--region needs --env")
    assert failure(capsys, *command, "--region", "eu-west-1") == expected
