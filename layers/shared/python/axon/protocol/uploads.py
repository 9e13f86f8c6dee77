"""``POST /v1/request_bodies``: a body that is to be uploaded."""

from typing import Annotated

from pydantic import Field

from axon.protocol.bodies import Body

MOST_BYTES = 999_999_999
"""More than any deployment takes; the limit is a setting."""


class CreateRequestBody(Body):
    """A body that the client announces, exactly as it will upload it.

    Parameters
    ----------
    bytes : int
        Its bytes.
    sha256 : str
        Its SHA-256, in hexadecimal digits.
    """

    bytes: Annotated[int, Field(ge=1, le=MOST_BYTES, strict=True)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
