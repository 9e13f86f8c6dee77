"""Fields and blocks of the SDK: each is served, or refused by its name."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic.request import CreateMessage, Tool, parse_message
from axon.protocol.anthropic.unserved import (
    HINTS,
    TOOL_HINTS,
    UNSERVED,
    UNSERVED_IN_TOOLS,
)

REQUEST: dict[str, Any] = {"model": "echo", "max_tokens": 9}
HEADERS = {"workspace_id"}
"""Arguments of the SDK that it sends as headers."""
SERVED_BLOCKS = {"text", "thinking", "redacted_thinking", "tool_use", "tool_result"}


def types_of(union: Any) -> Iterator[str]:
    """Yield the values of `type` in a union of the SDK's typed dictionaries."""
    for member in get_args(union):
        yield from literals(get_type_hints(member)["type"])


def literals(hint: Any) -> Iterator[str]:
    for argument in get_args(hint):
        if isinstance(argument, str):
            yield argument
        else:
            yield from literals(argument)


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_message(REQUEST | {"messages": [{"role": "user", "content": "hi"}]} | fields)
    return caught.value


def test_every_field_of_the_sdk_is_served_or_taken_as_a_hint_or_refused() -> None:
    from anthropic.types import ToolParam, message_count_tokens_params, message_create_params

    base = {
        *message_create_params.MessageCreateParamsBase.__annotations__,
        *message_count_tokens_params.MessageCountTokensParams.__annotations__,
    }
    served = CreateMessage.model_fields.keys()
    assert served | HINTS | UNSERVED.keys() | HEADERS >= base
    assert not UNSERVED.keys() & (served | HINTS)
    tool = Tool.model_fields.keys()
    assert tool | TOOL_HINTS | UNSERVED_IN_TOOLS.keys() >= ToolParam.__annotations__.keys()
    assert not UNSERVED_IN_TOOLS.keys() & (tool | TOOL_HINTS)


def test_every_other_block_of_the_sdk_is_refused_by_its_type() -> None:
    from anthropic.types import ContentBlockParam

    others = set(types_of(ContentBlockParam)) - SERVED_BLOCKS
    assert {"image", "document"} <= others
    for kind in others:
        error = refused(messages=[{"role": "user", "content": [{"type": kind}]}])
        assert error.param == "messages.0.content.0.type"
        assert f"'{kind}'" in error.message


def test_every_other_tool_of_the_sdk_is_refused_by_its_place() -> None:
    from anthropic.types import ToolUnionParam

    others = set(types_of(ToolUnionParam)) - {"custom"}
    assert len(others) > 5
    for kind in others:
        assert refused(tools=[{"type": kind, "name": "x"}]).param == "tools.0.type"
