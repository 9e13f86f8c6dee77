import asyncio
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import hiredis
import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError

from axon.adapters.valkey import replies
from axon.adapters.valkey.replies import Replies, send


def a_connection(**fields: Any) -> AbstractConnection:
    """Return what `Replies` uses of redis-py's connection, with other fields."""
    parser = SimpleNamespace(_reader=hiredis.Reader())
    known = {"is_connected": True, "_reader": asyncio.StreamReader(), "_parser": parser}
    return cast("AbstractConnection", SimpleNamespace(**known | fields))


async def test_send_on_a_connection_that_has_ended_unnoticed_is_an_error_of_the_connection() -> (
    None
):
    """Uvloop raises RuntimeError there, which would end the process instead of connecting again."""
    connection = AsyncMock()
    connection.send_packed_command.side_effect = RuntimeError("the handler is closed")
    with pytest.raises(ValkeyConnectionError):
        await send(connection, b"*1")


@pytest.mark.parametrize(
    "fields", [{"_reader": None}, {"_parser": None}, {"_parser": SimpleNamespace(_reader=object())}]
)
async def test_replies_of_a_redis_py_without_what_they_use_say_so_when_it_connects(
    fields: dict[str, Any],
) -> None:
    assert Replies(a_connection())
    with pytest.raises(RuntimeError, match=r"redis-py \d+.* pyproject.toml"):
        Replies(a_connection(**fields))


async def test_replies_of_a_connection_that_has_ended_are_an_error_of_the_connection() -> None:
    with pytest.raises(ValkeyConnectionError):
        Replies(a_connection(is_connected=False, _reader=None))


def test_replies_of_a_redis_py_without_its_sentinel_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis._parsers.hiredis", ModuleType("hiredis"))
    monkeypatch.delitem(sys.modules, replies.__name__)
    with pytest.raises(ImportError, match=r"redis-py \d+.* pyproject.toml"):
        importlib.import_module(replies.__name__)
