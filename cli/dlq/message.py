"""Dead letters: SQS's attributes of a message, and what can be read in its body."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

SHORTEST_ID = 8
"""Characters of an id that are shown, and that suffice to name a dead letter."""

_UNWRITTEN = "could not be written to PostgreSQL"
_UNKNOWN = "unknown"
_GROUP = re.compile("[!-~]{1,128}")
"""Names that SQS takes as a message group. A tenant's name is one, unless the body was forged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Parameters
    ----------
    message_id : str
        Id of the message in the queue it came from.
    queue : str
        The queue it came from: `jobs` or `history`.
    moved_at : datetime
        When it was moved to the dead-letter queue; for `history`, when it was sent.
    receive_count : int
        How often it was received from `queue`. For `history`, SQS continues to count in the
        dead-letter queue: each look at the message adds one.
    tenant_id : str | None
        The tenant; None if the message does not tell it.
    response_id : str | None
        The response; None if the message does not tell it.
    reason : str
        Why it is here.
    body : str
        The message as it was sent.
    group_id : str | None
        The message group that a redrive sends it to.
    receipt_handles : list[str]
        Receipt handle of each copy that is held; they release or delete it.
    """

    message_id: str
    queue: str
    moved_at: datetime
    receive_count: int
    tenant_id: str | None
    response_id: str | None
    reason: str
    body: str
    group_id: str | None
    receipt_handles: list[str] = field(default_factory=list)

    @property
    def short_id(self) -> str:
        """The first characters of its id, enough to name it."""
        return self.message_id[:SHORTEST_ID]

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs; `body` is an object when it is a JSON object, else text."""
        return self.summary() | {"body": _parsed(self.body)}

    def summary(self) -> dict[str, Any]:
        """Return it for programs, without its body."""
        return {
            "id": self.message_id,
            "queue": self.queue,
            "when": self.moved_at.isoformat(timespec="seconds"),
            "attempts": self.receive_count,
            "tenant_id": self.tenant_id,
            "response_id": self.response_id,
            "why": self.reason,
        }


def dead_letter(message: "MessageTypeDef", *, queue: str) -> DeadLetter:
    """Read a received message.

    Parameters
    ----------
    message : MessageTypeDef
        As SQS returns it, with all attributes.
    queue : str
        The queue that it came from. Jobs carry attributes that `functions/dead_letter` wrote, and
        so do records that `functions/write_history` could not read. Other records are moved by SQS
        itself, which adds none.
    """
    system = cast("Mapping[str, str]", message.get("Attributes", {}))
    noted = {
        name: value.get("StringValue", "")
        for name, value in message.get("MessageAttributes", {}).items()
    }
    body = message["Body"]
    parsed = _parsed(body)
    content = parsed if isinstance(parsed, dict) else {}
    response = content.get("response")
    tenant_id = _text(content.get("tenant_id"))
    job = queue == "jobs"
    in_body = response.get("id") if job and isinstance(response, dict) else None
    return DeadLetter(
        message_id=noted.get("message_id") or message["MessageId"],
        queue=queue,
        moved_at=_moved_at(noted.get("when"), system),
        receive_count=_receive_count(noted.get("attempts"), system),
        tenant_id=tenant_id,
        response_id=noted.get("response_id") or _text(in_body or content.get("response_id")),
        reason=noted.get("why") or (_UNKNOWN if job else _UNWRITTEN),
        body=body,
        group_id=_group(tenant_id) if job else system.get("MessageGroupId"),
        receipt_handles=[message["ReceiptHandle"]],
    )


def printable(text: str, *, keep: str = "") -> str:
    """Return the text with control characters escaped, so that it cannot change the terminal.

    Parameters
    ----------
    text : str
        Text that clients wrote, so any characters.
    keep : str
        Control characters that stay, such as line ends.
    """
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1]
        for character in text
    )


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _group(tenant_id: str | None) -> str | None:
    return tenant_id if tenant_id and _GROUP.fullmatch(tenant_id) else None


def _moved_at(noted: str | None, system: Mapping[str, str]) -> datetime:
    try:
        return datetime.fromisoformat(noted or "").astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)


def _receive_count(noted: str | None, system: Mapping[str, str]) -> int:
    try:
        return int(noted or "")
    except ValueError:
        # The receive that this look needed does not count.
        return int(system["ApproximateReceiveCount"]) - 1
