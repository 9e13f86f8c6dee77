from unittest.mock import AsyncMock

import pytest
from redis.exceptions import ConnectionError as ValkeyConnectionError

from axon.adapters.valkey.replies import send


async def test_send_on_a_connection_that_has_ended_unnoticed_is_an_error_of_the_connection() -> (
    None
):
    """Uvloop raises RuntimeError there, which would end the process instead of connecting again."""
    connection = AsyncMock()
    connection.send_packed_command.side_effect = RuntimeError("the handler is closed")
    with pytest.raises(ValkeyConnectionError):
        await send(connection, b"*1")
