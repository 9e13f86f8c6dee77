from collections.abc import Callable
from typing import Any

import pytest

from axon.conversations import Turn
from axon.formats import MAX_REASON_LENGTH, VERSIONS, Format, UnreadableError, check
from axon.history import HistoryRecord
from axon.jobs import Job, ReceivedJob
from axon.serialization import dumps, loads
from tests.unit.axon.samples import a_job

JOB = a_job()
RECORD = HistoryRecord.of(JOB, response=JOB.response, version=1, ended_ms=1)
RECEIVED = ReceivedJob(body="{}", receipt_handle="r", receive_count=1)
JSON_FORMATS: list[tuple[Format, bytes, Callable[[bytes], Any]]] = [
    (Format.JOB, JOB.encode(), Job.decode),
    (Format.HANDED_OVER_JOB, RECEIVED.encode(), ReceivedJob.decode),
    (Format.HISTORY_RECORD, RECORD.encode(), HistoryRecord.decode),
    (Format.TURN, Turn.of(JOB, output=[]).encode(), Turn.decode),
]
json_formats = pytest.mark.parametrize(
    ("format_", "data", "decode"), JSON_FORMATS, ids=[each[0].value for each in JSON_FORMATS]
)
Decode = Callable[[bytes], Any]


@json_formats
def test_format_carries_its_version(format_: Format, data: bytes, decode: Decode) -> None:
    # The lowest one that says it: nothing of these waits in a payload store.
    assert loads(data)["format"] == decode(data).format == 1 <= VERSIONS[format_]


@json_formats
def test_format_without_a_version_has_version_1(
    format_: Format, data: bytes, decode: Decode
) -> None:
    earlier = loads(data)
    del earlier["format"]
    assert decode(dumps(earlier)) == decode(data), format_


@json_formats
def test_format_ignores_unknown_fields(format_: Format, data: bytes, decode: Decode) -> None:
    assert decode(dumps(loads(data) | {"added": {"later": [1]}})) == decode(data), format_


@json_formats
@pytest.mark.parametrize("whole", [True, False])
def test_format_of_a_higher_version_is_refused_as_newer(
    format_: Format, data: bytes, decode: Decode, whole: bool
) -> None:
    # It may lack what this version requires: that is no reason to take it for rubbish.
    later = {**(loads(data) if whole else {}), "format": VERSIONS[format_] + 1}
    version = f"it has version {VERSIONS[format_] + 1}"
    with pytest.raises(UnreadableError, match=version) as caught:
        decode(dumps(later))
    assert (caught.value.format, caught.value.newer) == (format_, True)


@json_formats
@pytest.mark.parametrize("rubbish", [b"", b"{}", b"[]", b"\xff", b'{"format":"two"}'])
def test_format_refuses_rubbish_without_repeating_it(
    format_: Format, data: bytes, decode: Decode, rubbish: bytes
) -> None:
    with pytest.raises(UnreadableError, match=f"no readable {format_}") as caught:
        decode(rubbish)
    assert not caught.value.newer
    secret = dumps(loads(data) | {"format": {"secret": "sk-1"}})
    with pytest.raises(UnreadableError) as caught:
        decode(secret)
    assert "sk-1" not in str(caught.value)


def test_unreadable_error_has_a_short_reason() -> None:
    error = UnreadableError(Format.JOB, "x" * 1000)
    assert len(error.reason) == MAX_REASON_LENGTH


@pytest.mark.parametrize("format_", Format)
def test_check_accepts_all_versions_up_to_the_own(format_: Format) -> None:
    check(format_, VERSIONS[format_])
    with pytest.raises(UnreadableError):
        check(format_, VERSIONS[format_] + 1)
