"""Permissions of Axon in Valkey: the access string of its only user.

A test runs all that Axon does on a real server, as a user with exactly this string.
"""

_COMMANDS = (
    *("client|setinfo", "info", "time", "wait"),
    *("eval", "evalsha"),
    *("del", "exists", "expire", "get", "set", "ttl", "unlink"),
    *("hdel", "hexists", "hget", "hgetall", "hincrby", "hmget", "hrandfield", "hset"),
    *("sadd", "scard", "sismember", "smembers", "smove", "srem", "sscan"),
    *("zadd", "zrangebyscore", "zrem", "zrevrangebyscore", "zscore"),
    *("xadd", "xrange"),
    *("publish", "subscribe", "unsubscribe", "pubsub|numsub"),
)

ACCESS_STRING = " ".join(
    (
        "on",
        "~axon:*",
        "resetchannels",
        "&axon:relay:*",
        "&axon:relays:left",
        "&axon:response:*",
        "&axon:followers",  # the version before has one channel for all
        "&axon:followers:*",
        "&axon:worker:*",
        "&axon:models:changed",
        "-@all",
        *(f"+{name}" for name in _COMMANDS),
    )
)
