"""The deployed stacks as CloudFormation reports them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.deploy.machine import Machine
from tests.deploy.steps import require


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A stack's record, to which an update adds even where it touches no resource."""

    status: str
    updated: datetime | None
    events: int


Records = Mapping[str, Record]


def synthesized(output: Path) -> set[str]:
    """Return the names of the stacks in a folder that cdk wrote."""
    artifacts: dict[str, Any] = json.loads((output / "manifest.json").read_text())["artifacts"]
    return {name for name, each in artifacts.items() if each["type"] == "aws:cloudformation:stack"}


def records(machine: Machine, *, names: set[str]) -> Records:
    """Return the records of the stacks; StepError unless each was created and is complete."""
    client = machine.client("cloudformation")
    found = {name: _record(client, name) for name in names}
    for name, record in found.items():
        require(record.status == "CREATE_COMPLETE", f"{name} is {record.status}")
    return found


def _record(client: Any, name: str) -> Record:
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    events = client.get_paginator("describe_stack_events").paginate(StackName=name)
    return Record(
        status=stack["StackStatus"],
        updated=stack.get("LastUpdatedTime"),
        events=sum(len(page["StackEvents"]) for page in events),
    )


def require_untouched(before: Records, after: Records) -> None:
    """Raise StepError when something was done to a stack in between."""
    touched = [
        f"{name} was {before[name]} and is {after[name]}"
        for name in sorted(before)
        if before[name] != after[name]
    ]
    require(not touched, f"touched: {'; '.join(touched)}")
