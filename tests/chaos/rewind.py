"""Takes a Valkey server back to its state of a moment ago, as a failover to a late replica does."""

import asyncio
from collections.abc import Collection

from redis.asyncio import Redis

_FIND = """
local function found(settled)
    local names = {}
    for _, name in ipairs(redis.call('KEYS', 'axon:*')) do
        local id = string.match(name, 'resp_%x+')
        if not (id and settled[id]) then names[#names + 1] = name end
    end
    return names
end
local settled, ids = {}, {}
"""
_DUMP = (
    _FIND
    + """
-- Of those that ended for their clients, the server may have lost the end, and get it again.
for _, id in ipairs(ARGV) do
    local status = redis.call('HGET', 'axon:response:' .. id, 'status')
    if status and status ~= 'queued' and status ~= 'in_progress' then
        settled[id], ids[#ids + 1] = true, id
    end
end
local dumps = {}
for _, name in ipairs(found(settled)) do
    dumps[#dumps + 1] = {
        name, redis.call('DUMP', name), tostring(redis.call('PEXPIRETIME', name))}
end
return {ids, dumps}
"""
)
_DELETE = (
    _FIND
    + """
for _, id in ipairs(ARGV) do settled[id] = true end
for _, name in ipairs(found(settled)) do redis.call('DEL', name) end
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
        Ids of the responses that stay as they are if they have ended on the server, too, because
        nothing has happened to them since.
    """
    settled, dumps = await server.eval(_DUMP, 0, *ended)
    await asyncio.sleep(lag_s)
    async with server.pipeline(transaction=True) as commands:
        # One transaction: no client may see half of the change, nor write after it on a
        # connection that it opened before.
        for kind in ("normal", "pubsub"):
            commands.execute_command("CLIENT", "KILL", "TYPE", kind)
        commands.eval(_DELETE, 0, *settled)
        for name, dump, expires_ms in dumps:
            lasting = max(int(expires_ms), 0)
            commands.restore(name, lasting, dump, absttl=bool(lasting))
        commands.execute_command("DEBUG", "CHANGE-REPL-ID")
        await commands.execute()
