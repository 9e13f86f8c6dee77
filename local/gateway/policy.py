"""Evaluates the part of IAM policies that authorizers use."""

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

_ACTION = "execute-api:invoke"


class Decision(Enum):
    """Result of a policy for one resource."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


class MalformedPolicyError(Exception):
    """The document is no policy, or has elements that are not evaluated here."""


def evaluate(policy: Any, *, resource: str) -> Decision:
    """Evaluate `execute-api:Invoke` on the ARN `resource`: a Deny outweighs any Allow.

    Raises
    ------
    MalformedPolicyError
        The document cannot be evaluated.
    """
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list):
        raise MalformedPolicyError("a policy needs statements")
    effects = {_effect(statement) for statement in statements if _applies(statement, resource)}
    if "Deny" in effects:
        return Decision.EXPLICIT_DENY
    return Decision.ALLOW if "Allow" in effects else Decision.IMPLICIT_DENY


def _effect(statement: Mapping[str, Any]) -> str:
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicyError(f"unknown effect: {effect!r}")
    return str(effect)


def _applies(statement: Any, resource: str) -> bool:
    if not isinstance(statement, Mapping):
        raise MalformedPolicyError("a statement is an object")
    unsupported = {"Condition", "NotAction", "NotResource"} & statement.keys()
    if unsupported:
        raise MalformedPolicyError(f"not evaluated here: {', '.join(sorted(unsupported))}")
    actions = [pattern.lower() for pattern in _patterns(statement, "Action")]
    resources = _patterns(statement, "Resource")
    return _any_matches(actions, _ACTION) and _any_matches(resources, resource)


def _patterns(statement: Mapping[str, Any], name: str) -> list[str]:
    value = statement.get(name)
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
        raise MalformedPolicyError(f"{name} is a string or a list of strings")
    return patterns


def _any_matches(patterns: list[str], value: str) -> bool:
    return any(_compiled(pattern).fullmatch(value) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)
