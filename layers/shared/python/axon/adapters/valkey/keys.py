"""The names of keys and channels in Valkey. Scripts that derive a key from data repeat the form."""

DEADLINES = "axon:deadlines"
ABANDONED = "axon:abandoned"
RELAYS = "axon:relays"
RELAYS_LEFT = "axon:relays:left"
MODELS = "axon:models"
MODELS_LAST_SEEN = "axon:models:last-seen"
MODELS_SERVED_SINCE = "axon:models:served-since"
MODELS_CHANGED = "axon:models:changed"
WORKERS = "axon:workers"
BEATS = "axon:workers:beats"
BEAT_TIMES = "axon:workers:beats:times"
QUARANTINE = "axon:quarantine"
MEMORY = "axon:memory"
TURNS = "axon:turns"
SCALING_LOCK = "axon:scaling-lock"
REVOKED_KEYS = "axon:keys:revoked"
REPLICATED = "axon:replicated"
"""Written before a WAIT; what it holds means nothing."""


def response(response_id: str) -> str:
    """Return the key of a response's hash."""
    return f"axon:response:{response_id}"


def events(response_id: str) -> str:
    """Return the key of the Stream of a response's events."""
    return f"axon:response:{response_id}:events"


def journal(response_id: str) -> str:
    """Return the key of the Stream of a response's journal records."""
    return f"axon:response:{response_id}:journal"


def connection(connection_id: str) -> str:
    """Return the key of a connection's hash."""
    return f"axon:connection:{connection_id}"


def connection_responses(connection_id: str) -> str:
    """Return the key of the set of responses that a connection waits for."""
    return f"axon:connection:{connection_id}:responses"


def connection_turns(connection_id: str) -> str:
    """Return the key of the set of unstored turns of a connection."""
    return f"axon:connection:{connection_id}:turns"


def relay_responses(relay_id: str) -> str:
    """Return the key of the set of responses that a relay has to deliver."""
    return f"axon:relay:{relay_id}:responses"


def relay_lost(relay_id: str) -> str:
    """Return the key of the hash of connections whose responses a relay has found lost."""
    return f"axon:relay:{relay_id}:lost"


def relay_channel(relay_id: str) -> str:
    """Return the channel of a relay's publications."""
    return f"axon:relay:{relay_id}"


def response_channel(response_id: str) -> str:
    """Return the channel of a response's publications to its followers."""
    return f"axon:response:{response_id}"


def followers_channel(name: str) -> str:
    """Return the channel of a process that follows responses, to which it alone publishes."""
    return f"axon:followers:{name}"


def turn(response_id: str) -> str:
    """Return the key of a cached turn."""
    return f"axon:turn:{response_id}"


def cached(tenant_id: str) -> str:
    """Return the key of a tenant's index of cached turns, by the time at which they expire."""
    return f"axon:cache:{tenant_id}:held"


def connection_held(connection_id: str) -> list[str]:
    """Return the keys of what is held for a connection, and of the sizes."""
    index = f"axon:connection:{connection_id}:held"
    return [index, f"{index}:bytes"]


def pending_history(response_id: str) -> str:
    """Return the key that says that a response's history record is on its way."""
    return f"axon:history:pending:{response_id}"


def identity(key_hash: str) -> str:
    """Return the key of a cached principal."""
    return f"axon:identity:{key_hash}"


def unknown_key(key_hash: str) -> str:
    """Return the key that says that an API key is unknown."""
    return f"axon:identity:{key_hash}:unknown"


def key_state(key_id: str) -> str:
    """Return the key that says whether an API key is valid or revoked."""
    return f"axon:key:{key_id}"


def key_connections(key_id: str) -> str:
    """Return the key of the sorted set of an API key's open connections."""
    return f"axon:key:{key_id}:connections"


def wrong_keys(address: str) -> str:
    """Return the key of the token bucket of an address's wrong API keys."""
    return f"axon:wrong-keys:{address}"


def uploaded(tenant_id: str) -> str:
    """Return the key of the token bucket of what a tenant uploads."""
    return f"axon:uploaded:{tenant_id}"


def idempotency(digest: str) -> str:
    """Return the key of an idempotency key's first response."""
    return f"axon:idempotency:{digest}"


def worker(worker_id: str) -> str:
    """Return the key of a worker's registration, which is also its channel's name."""
    return f"axon:worker:{worker_id}"


def held_messages(incarnation: str) -> str:
    """Return the key of the messages that a worker's process holds."""
    return f"axon:worker:{incarnation}:held"


def handed_over(message_id: str, attempts: int) -> str:
    """Return the key that names the worker to which a job was handed over."""
    return f"axon:handed-over:{message_id}:{attempts}"


def sweeps(index: str) -> str:
    """Return the key of the state of the sweeps of an index: when the last one was made."""
    return f"{index}:sweeps"


def taken(call: str) -> str:
    """Return the key of what one call has taken from an index."""
    return f"axon:taken:{call}"


def log(response_id: str) -> list[str]:
    """Return the keys of a response's log: its fields, events and journal."""
    return [response(response_id), events(response_id), journal(response_id)]


def connection_keys(connection_id: str) -> list[str]:
    """Return the keys of a connection: its fields, and its responses that have not ended."""
    return [connection(connection_id), connection_responses(connection_id)]
