"""The shapes of formats: names and kinds of fields, without the values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axon.formats import Format
from tests.contract.axon.format_samples import ENDED_ID, RESPONSE_ID

RECORDED = Path(__file__).with_name("format_shapes.json")
OPAQUE = {"response", "input", "output"}
"""Fields whose content is OpenAI's, or, as event and journal data, made and read by one package."""

FORMATS: Mapping[str, Format] = {
    "job": Format.JOB,
    "sqs_job": Format.JOB,
    "sqs_parked": Format.JOB,
    "received_job": Format.HANDED_OVER_JOB,
    "history_record": Format.HISTORY_RECORD,
    "sqs_history": Format.HISTORY_RECORD,
    "turn": Format.TURN,
    "axon:turn": Format.TURN,
    "axon:response": Format.EVENT_LOG,
    "axon:worker": Format.REGISTRATION,
    "published": Format.PUBLICATION,
}
"""The format whose version a sample has, by the sample's name or the beginning of its key."""


def format_of(name: str) -> Format | None:
    """Return the format of a sample; None for one that has no version and so may never change."""
    return next((FORMATS[start] for start in FORMATS if name.startswith(start)), None)


def shapes(samples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape of each sample that `format_samples.write` returned."""
    keys = {
        _anonymous(key): {"type": entry["type"], "value": _shape(entry["value"])}
        for key, entry in samples["keys"].items()
    }
    plain = {name: _shape(samples[name]) for name in samples if name not in ("keys", "published")}
    return {**plain, **keys, "published": [_header(text) for text in samples["published"]]}


def missing(before: Any, now: Any, path: str = "") -> list[str]:
    """Return what a reader of the shape `before` would miss in `now`; more fields are no harm."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            fault
            for name, shape in before.items()
            for fault in (
                missing(shape, now[name], f"{path}.{name}") if name in now else [f"{path}.{name}"]
            )
        ]
    if isinstance(before, list) and isinstance(now, list):
        return [
            f"{path}: none is {shape}"
            for shape in before
            if all(missing(shape, each) for each in now)
        ]
    return [] if before == now else [f"{path}: {before} became {now}"]


def _shape(value: Any, name: str = "") -> Any:
    if name in OPAQUE:
        return "content"
    if isinstance(value, dict):
        return {key: _shape(each, key) for key, each in sorted(value.items())}
    if isinstance(value, list):
        found = {json.dumps(_shape(each), sort_keys=True) for each in value}
        return [json.loads(each) for each in sorted(found)]
    if isinstance(value, str):
        return _text(value)
    return "nothing" if value is None else type(value).__name__


def _text(value: str) -> Any:
    if value[:1] in ("{", "["):
        parsed = json.loads(value)
        # Events are OpenAI's, too.
        return "event" if "type" in parsed or "n" in parsed or "delta" in parsed else _shape(parsed)
    return "text"


def _header(publication: str) -> str:
    """Return the kinds of a publication's header fields, with its flags as they are."""
    *fields, last = publication.partition("\n")[0].split(" ")
    if not fields:  # a job that is handed over
        return "time, received job"
    return ", ".join(["number" if each.isdigit() else "id" for each in fields] + [last])


def _anonymous(key: str) -> str:
    return key.replace(RESPONSE_ID, "{running}").replace(ENDED_ID, "{ended}")
