from typing import Any

import pytest

from local.gateway.policy import Decision, MalformedPolicyError, evaluate

ARN = "arn:aws:execute-api:us-east-1:000000000000:local/responses/$connect"


def statement(effect: str = "Allow", resource: Any = ARN, **other: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource, **other}


@pytest.mark.parametrize(
    "resource",
    [
        ARN,
        "*",
        "arn:aws:execute-api:*:*:local/*",
        "arn:aws:execute-api:us-east-?:000000000000:local/responses/$connect",
        ["arn:aws:execute-api:*:*:other/*", ARN],
    ],
)
def test_resources_that_match(resource: Any) -> None:
    policy = {"Statement": [statement(resource=resource)]}
    assert evaluate(policy, resource=ARN) is Decision.ALLOW


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:execute-api:*:*:local/prod/*",
        ARN.removesuffix("t"),
        f"{ARN}/x",
        ARN.replace(":local/", ".local/"),
        [],
    ],
)
def test_resources_that_do_not_match(resource: Any) -> None:
    policy = {"Statement": [statement(resource=resource)]}
    assert evaluate(policy, resource=ARN) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize("action", ["execute-api:*", "*", ["s3:Get*", "EXECUTE-API:invoke"]])
def test_actions_that_match(action: Any) -> None:
    policy = {"Statement": [statement(Action=action)]}
    assert evaluate(policy, resource=ARN) is Decision.ALLOW


def test_another_action() -> None:
    policy = {"Statement": [statement(Action="execute-api:ManageConnections")]}
    assert evaluate(policy, resource=ARN) is Decision.IMPLICIT_DENY


def test_a_deny_outweighs_any_allow() -> None:
    policy = {"Statement": [statement("Deny", "*"), statement()]}
    assert evaluate(policy, resource=ARN) is Decision.EXPLICIT_DENY
    elsewhere = {"Statement": [statement("Deny", "arn:*:other/*"), statement()]}
    assert evaluate(elsewhere, resource=ARN) is Decision.ALLOW


def test_a_single_statement_needs_no_list() -> None:
    assert evaluate({"Statement": statement()}, resource=ARN) is Decision.ALLOW


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {},
        {"Statement": None},
        {"Statement": ["x"]},
        {"Statement": [statement("Maybe")]},
        {"Statement": [statement(resource=None)]},
        {"Statement": [statement(resource=[1])]},
        {"Statement": [statement(Condition={"IpAddress": {}})]},
        {"Statement": [statement(NotResource="*")]},
    ],
)
def test_what_cannot_be_evaluated(policy: Any) -> None:
    with pytest.raises(MalformedPolicyError):
        evaluate(policy, resource=ARN)
