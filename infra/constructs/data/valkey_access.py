"""What Axon may do in Valkey: the access string of its only user.

A test runs all that Axon does as a user of a real server who has exactly this string.
"""

_COMMANDS = (
    *("client|setinfo", "time"),
    *("eval", "evalsha"),
    *("del", "exists", "expire", "get", "set"),
    *("hdel", "hexists", "hget", "hgetall", "hincrby", "hmget", "hset"),
    *("sadd", "scard", "smembers", "smove", "srem"),
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
        "&axon:followers",
        "&axon:worker:*",
        "&axon:models:changed",
        "-@all",
        *(f"+{name}" for name in _COMMANDS),
    )
)
