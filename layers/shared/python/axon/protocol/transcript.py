"""A response's events: what may follow what, with gapless numbers. No I/O.

    created -> in_progress -> [item added -> part added -> delta* -> text done -> part done
    -> item done] -> completed | incomplete | failed

The state can be rebuilt from logged events, so that a later attempt goes on where an earlier
one stopped: ids derive from the response's own, and numbers go on from the log's.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Literal

from axon.event_log.log import LoggedEvent, Status
from axon.ids import same_id
from axon.protocol.objects import Json, Usage, message_item, text_part
from axon.serialization import dumps, loads

_OUTPUT: Json = {"output_index": 0}
_PART: Json = {"output_index": 0, "content_index": 0}


class Transcript:
    """Builds the events of one response, in order.

    Parameters
    ----------
    response : Json
        The response object as it was created; this object changes with the events.
    stream_id : str | None
        Echoed on every event when the client sent one.
    """

    def __init__(self, response: Json, *, stream_id: str | None = None) -> None:
        self.response = response
        self.next_sequence = 0
        self.text = ""
        self.token_ids: list[int] = []
        self._unlogged_ids: list[int] = []
        self._item_id = same_id("msg", response["id"])
        self._stream_id = stream_id
        self._stage: Literal["new", "open", "closed"] = "new"

    @property
    def response_id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    @property
    def message_status(self) -> str | None:
        """How the message ended (``completed``, ``incomplete``); None while it has not."""
        if self._stage != "closed":
            return None
        return str(self.response["output"][0]["status"])

    def replay(self, events: Iterable[LoggedEvent]) -> None:
        """Take over the state that logged events left."""
        pieces = []
        for logged in events:
            event = loads(logged.data)
            match event["type"]:
                case "response.in_progress":
                    self.response["status"] = "in_progress"
                case "response.output_item.added":
                    self._stage = "open"
                case "response.output_text.delta":
                    pieces.append(event["delta"])
                case "response.output_item.done":
                    self._stage = "closed"
                    self.response["output"] = [event["item"]]
            self.token_ids.extend(logged.token_ids)
            self.next_sequence = logged.sequence_number + 1
        self.text = "".join(pieces)

    def created(self) -> LoggedEvent:
        """Event 0."""
        return self._event("response.created", response=self.response)

    def in_progress(self) -> LoggedEvent:
        """An attempt has begun."""
        self.response["status"] = "in_progress"
        return self._event("response.in_progress", response=self.response)

    def delta(self, text: str, token_ids: Sequence[int]) -> list[LoggedEvent]:
        """Text was generated; the first one also opens the message."""
        events = self._open()
        self.token_ids.extend(token_ids)
        self._unlogged_ids.extend(token_ids)
        if text:
            self.text += text
            events.append(
                self._event("response.output_text.delta", item_id=self._item_id, **_PART,
                            delta=text, logprobs=[])
            )  # fmt: skip
        return events

    def close_message(self, *, complete: bool = True) -> list[LoggedEvent]:
        """The text has ended; `complete` False when it was cut short. Repeating it adds nothing."""
        if self._stage == "closed":
            return []
        events = self._open()
        item_id = self._item_id
        events.append(
            self._event("response.output_text.done", item_id=item_id, **_PART, text=self.text,
                        logprobs=[])
        )  # fmt: skip
        part = text_part(self.text)
        events.append(
            self._event("response.content_part.done", item_id=item_id, **_PART, part=part)
        )
        self._close(complete=complete)
        item = self.response["output"][0]
        events.append(self._event("response.output_item.done", **_OUTPUT, item=item))
        return events

    def end(
        self,
        status: Status,
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: Json | None = None,
    ) -> LoggedEvent:
        """Return the terminal event.

        Parameters
        ----------
        reason : str | None
            Why an incomplete response is (``max_output_tokens``).
        error : Json | None
            ``{"code", "message"}`` of a failed one.
        """
        if self._stage == "open":
            self._close(complete=False)
        completed = status is Status.COMPLETED
        self.response |= {
            "status": status.value,
            "completed_at": int(time.time()) if completed else None,
            "usage": usage.wire() if usage else None,
            "error": error,
            "incomplete_details": {"reason": reason} if reason else None,
        }
        name = status.value if status in (Status.COMPLETED, Status.FAILED) else "incomplete"
        return self._event(f"response.{name}", response=self.response)

    def _open(self) -> list[LoggedEvent]:
        if self._stage != "new":
            return []
        self._stage = "open"
        item = message_item(self._item_id, text=None, status="in_progress")
        return [
            self._event("response.output_item.added", **_OUTPUT, item=item),
            self._event("response.content_part.added", item_id=self._item_id, **_PART,
                        part=text_part("")),
        ]  # fmt: skip

    def _close(self, *, complete: bool = True) -> None:
        self._stage = "closed"
        status = "completed" if complete else "incomplete"
        self.response["output"] = [message_item(self._item_id, text=self.text, status=status)]

    def _event(self, kind: str, **fields: object) -> LoggedEvent:
        event: Json = {"type": kind, "sequence_number": self.next_sequence, **fields}
        if self._stream_id is not None:
            event["stream_id"] = self._stream_id
        logged = LoggedEvent(self.next_sequence, dumps(event), tuple(self._unlogged_ids))
        self._unlogged_ids.clear()
        self.next_sequence += 1
        return logged
