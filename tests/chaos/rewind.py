"""Takes a Valkey server back to its state of a moment ago, as a failover to a late replica does."""

import asyncio
from collections.abc import Collection

from redis.asyncio import Redis

_FIND = """
local ended = {}
for _, id in ipairs(ARGV) do ended[id] = true end
local function found()
    local names = {}
    for _, name in ipairs(redis.call('KEYS', 'axon:*')) do
        local id = string.match(name, 'resp_%x+')
        if not (id and ended[id]) then names[#names + 1] = name end
    end
    return names
end
"""
_DUMP = (
    _FIND
    + """
local dumps = {}
for _, name in ipairs(found()) do
    dumps[#dumps + 1] = {
        name, redis.call('DUMP', name), tostring(redis.call('PEXPIRETIME', name))}
end
return dumps
"""
)
_DELETE = (
    _FIND
    + """
for _, name in ipairs(found()) do redis.call('DEL', name) end
"""
)


async def rewind(server: Redis, *, lag_s: float, ended: Collection[str]) -> None:
    """Wait, then restore all keys to their state before; clients lose their connections.

    The server counts as a new one then: its replication id changes.

    Parameters
    ----------
    lag_s : float
        Seconds whose writes are lost.
    ended : Collection[str]
        Ids of the responses that stay as they are, because nothing has happened to them since.
    """
    dumps = await server.eval(_DUMP, 0, *ended)
    await asyncio.sleep(lag_s)
    async with server.pipeline(transaction=True) as commands:
        # One transaction: no client may see half of the change, nor write after it on a
        # connection that it opened before.
        for kind in ("normal", "pubsub"):
            commands.execute_command("CLIENT", "KILL", "TYPE", kind)
        commands.eval(_DELETE, 0, *ended)
        for name, dump, expires_ms in dumps:
            lasting = max(int(expires_ms), 0)
            commands.restore(name, lasting, dump, absttl=bool(lasting))
        commands.execute_command("DEBUG", "CHANGE-REPL-ID")
        await commands.execute()
