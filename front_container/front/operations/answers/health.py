"""Shape of the answers about health."""

from typing import Literal

from typing_extensions import TypedDict


class Health(TypedDict):
    """The state of the process that answers."""

    status: Literal["ok", "unavailable"]
