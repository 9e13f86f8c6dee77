"""CustomToolCallItem: a call of a tool that takes a text."""

from typing import ClassVar

from axon.protocol.output_items.function_call import FunctionCallItem


class CustomToolCallItem(FunctionCallItem):
    """A call of a custom tool: its arguments are the text that the tool gets, and no JSON."""

    TYPE: ClassVar = "custom_tool_call"
    ARGUMENTS: ClassVar = "input"
    EVENTS: ClassVar = "response.custom_tool_call_input"
