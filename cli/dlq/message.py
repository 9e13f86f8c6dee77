"""Dead letters as people see them: what SQS says of a message, and what can be read in it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

SHORTEST_ID = 8
"""As many characters of an id are shown, and are enough to name a letter."""

_UNWRITTEN = "could not be written to PostgreSQL"
_UNKNOWN = "unknown"
_GROUP = re.compile("[!-~]{1,128}")
"""What SQS takes as a message group: a tenant's name, unless somebody forged it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A dead letter.

    Parameters
    ----------
    id : str
        Of the message that died.
    queue : str
        `jobs` or `history`: where it was tried in vain.
    when : datetime
        It came here; of history on the laptop, when it was sent.
    attempts : int
        How often it was received in vain; of history, looking at it counts, too.
    group : str | None
        The message group that it goes back to.
    receipts : list[str]
        What gives it back or deletes it, one for each copy of it.
    """

    id: str
    queue: str
    when: datetime
    attempts: int
    tenant_id: str | None
    response_id: str | None
    why: str
    body: str
    group: str | None
    receipts: list[str] = field(default_factory=list)

    @property
    def short_id(self) -> str:
        """Enough of its id to name it."""
        return self.id[:SHORTEST_ID]

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs; `body` is an object if it is one."""
        return self.summary() | {"body": _parsed(self.body)}

    def summary(self) -> dict[str, Any]:
        """Return all but its body."""
        return {
            "id": self.id,
            "queue": self.queue,
            "when": self.when.isoformat(timespec="seconds"),
            "attempts": self.attempts,
            "tenant_id": self.tenant_id,
            "response_id": self.response_id,
            "why": self.why,
        }


def letter_of(message: "MessageTypeDef", *, queue: str) -> DeadLetter:
    """Return the letter that a message is."""
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
        id=noted.get("message_id") or message["MessageId"],
        queue=queue,
        when=_when(noted.get("when"), system),
        attempts=_count(noted.get("attempts"), system),
        tenant_id=tenant_id,
        response_id=noted.get("response_id") or _text(in_body or content.get("response_id")),
        why=noted.get("why") or (_UNKNOWN if job else _UNWRITTEN),
        body=body,
        group=_group(tenant_id) if job else system.get("MessageGroupId"),
        receipts=[message["ReceiptHandle"]],
    )


def printable(text: str, *, keep: str = "") -> str:
    """Return the text without what would change the terminal; `keep` may stay."""
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


def _when(noted: str | None, system: Mapping[str, str]) -> datetime:
    try:
        return datetime.fromisoformat(noted or "").astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)


def _count(noted: str | None, system: Mapping[str, str]) -> int:
    try:
        return int(noted or "")
    except ValueError:
        # This look is no attempt.
        return int(system["ApproximateReceiveCount"]) - 1
