"""IAM tokens as ElastiCache and RDS check them: the signature, then the signer's permission."""

import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.deploy.emulator.ministack import evaluator, responses, sigv4
from tests.deploy.emulator.plan import ACCOUNT, REGION

ALGORITHM = "AWS4-HMAC-SHA256"
LONGEST_S = 900


class TokenRefusedError(Exception):
    """The text says why, for the log; clients do not see it."""


def check(token: str, *, service: str, host: str, parameters: dict[str, str]) -> Any:
    """Return ministack's record of whose credentials signed the token.

    Parameters
    ----------
    host : str
        What the token is for; `parameters` are those of its query that say for whom.
    """
    url = urlsplit(f"//{token}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    expected = {**parameters, "X-Amz-Algorithm": ALGORITHM, "X-Amz-SignedHeaders": "host"}
    wrong = [name for name, value in expected.items() if query.get(name) != value]
    if url.netloc != host or wrong:
        raise TokenRefusedError(f"a token for {url.netloc}, not {host}; wrong: {wrong}")
    _check_time(query)
    access_key, date, *scope = query.get("X-Amz-Credential", "").split("/")
    if [date, *scope] != [query["X-Amz-Date"][:8], REGION, service, "aws4_request"]:
        raise TokenRefusedError(f"signed for {scope}")
    credential = evaluator.resolve_credential(
        access_key, ACCOUNT, query.get("X-Amz-Security-Token", "")
    )
    if isinstance(credential, evaluator.CredentialResolutionError):
        raise TokenRefusedError(f"credentials: {credential.code}")
    signature = _signature(query, service=service, host=host, secret=credential.secret_access_key)
    if not hmac.compare_digest(signature, query.get("X-Amz-Signature", "")):
        raise TokenRefusedError("the signature does not match")
    return credential


def require(credential: Any, *, action: str, resources: Sequence[str]) -> None:
    """Raise TokenRefusedError unless the signer's policies allow the action on all resources."""
    with responses.request_scope(ACCOUNT, REGION):
        principal = evaluator.resolve_principal(credential.access_key_id, ACCOUNT, credential)
        if principal.policies is None:  # the account's root, whom ministack uses without AUTH
            return
        for resource in resources:
            context = evaluator.EvalContext(
                principal_arn=principal.arn,
                principal_type=principal.type,
                principal_account=ACCOUNT,
                action=action,
                resource_arn=resource,
                region=REGION,
                principal_keys=principal.keys,
            )
            decision = evaluator.evaluate(context, principal.policies, *principal.limits).decision
            if decision != "Allow":
                raise TokenRefusedError(f"{principal.arn}: {action} on {resource}: {decision}")


def _check_time(query: dict[str, str]) -> None:
    try:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires = int(query["X-Amz-Expires"])
    except (KeyError, ValueError) as error:
        raise TokenRefusedError("no time in the token") from error
    age = time.time() - signed.timestamp()
    if not (-5 <= age < expires <= LONGEST_S):
        raise TokenRefusedError(f"signed {age:.0f} s ago for {expires} s")


def _signature(query: dict[str, str], *, service: str, host: str, secret: str) -> str:
    request = sigv4.build_canonical_request(
        "GET",
        "/",
        {"host": host},
        query,
        "host",
        payload_hash=hashlib.sha256(b"").hexdigest(),
    )
    date = query["X-Amz-Date"]
    to_sign = sigv4.build_string_to_sign(date, date[:8], REGION, service, request)
    signature: str = sigv4.calculate_signature(secret, date[:8], REGION, service, to_sign)
    return signature
