import argparse
import io
from pathlib import Path

import pytest

from cli.chat import lines, target
from cli.errors import CommandError


def arguments(data: Path, **given: str) -> argparse.Namespace:
    return argparse.Namespace(**{"url": None, "model": None, "key": None, "data": data, **given})


def test_chat_target_needs_no_running_axon_when_all_is_given(tmp_path: Path) -> None:
    given = arguments(tmp_path, url="http://axon/v1", model="m", key="k")
    assert target(given) == ("http://axon/v1", "m", "k")


def test_chat_target_never_sends_the_local_key_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--url needs --model and --key"):
        target(arguments(tmp_path, url="http://axon/v1"))


def test_chat_takes_each_line_with_text_as_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n\n  and again \n"))
    assert list(lines()) == ["hi", "and again"]
