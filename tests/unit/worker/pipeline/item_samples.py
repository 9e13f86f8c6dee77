"""Turns and messages of conversations."""

from typing import Any

from axon.conversations import Turn


def turn(*, asked: list[dict[str, Any]], answered: list[dict[str, Any]]) -> Turn:
    return Turn(
        response_id="resp_0",
        previous_response_id=None,
        conversation_id="conv",
        tenant_id="t",
        input=asked,
        output=answered,
    )


def message(role: str, content: object) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}
