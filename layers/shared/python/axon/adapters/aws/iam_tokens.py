"""IAM tokens: presigned requests that Valkey and PostgreSQL take for a password, for 15 minutes.

botocore makes the same, but its import takes longer than the rest of a small function's start.
The tests hold these to botocore's byte for byte.
"""

import hmac
from hashlib import sha256
from urllib.parse import quote, urlencode

from axon.adapters.aws.sigv4 import ALGORITHM, Credentials, signing_key, timestamp_of

_EXPIRES_S = 900
_HTTPS = 443  # which the header "host" leaves out
_NO_BODY = sha256(b"").hexdigest()


def valkey_token(
    *, user: str, cache: str, region: str, credentials: Credentials, now: float
) -> str:
    """Return the password of an ElastiCache user for the replication group `cache`."""
    return _presigned(
        host=cache.lower(),  # ElastiCache keeps ids in lower case, and signs what it keeps
        parameters={"Action": "Connect", "User": user},
        scope=("elasticache", region),
        credentials=credentials,
        now=now,
    )


def postgres_token(
    *, user: str, host: str, port: int, region: str, credentials: Credentials, now: float
) -> str:
    """Return the password of an RDS database's user."""
    return _presigned(
        host=host,
        port=port,
        parameters={"Action": "connect", "DBUser": user},
        scope=("rds-db", region),
        credentials=credentials,
        now=now,
    )


def _presigned(
    *,
    host: str,
    port: int | None = None,
    parameters: dict[str, str],
    scope: tuple[str, str],
    credentials: Credentials,
    now: float,
) -> str:
    """Return a presigned ``GET /`` without its scheme."""
    service, region = scope
    timestamp = timestamp_of(int(now))
    date = timestamp[:8]
    credential_scope = f"{date}/{region}/{service}/aws4_request"
    parameters = parameters | {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{credential_scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(_EXPIRES_S),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.token:
        parameters["X-Amz-Security-Token"] = credentials.token
    place = host if port is None else f"{host}:{port}"
    signed_host = (host if port == _HTTPS else place).lower()
    request = (
        f"GET\n/\n{_query(sorted(parameters.items()))}\nhost:{signed_host}\n\nhost\n{_NO_BODY}"
    )
    digest = sha256(request.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{credential_scope}\n{digest}"
    key = signing_key(credentials.secret_key or "", date=date, region=region, service=service)
    parameters["X-Amz-Signature"] = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{place}/?{_query(list(parameters.items()))}"


def _query(parameters: list[tuple[str, str]]) -> str:
    return urlencode(parameters, quote_via=quote, safe="~")
