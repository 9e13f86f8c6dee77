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
def test_policy_matches_resources(resource: Any) -> None:
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
def test_policy_does_not_match_other_resources(resource: Any) -> None:
    policy = {"Statement": [statement(resource=resource)]}
    assert evaluate(policy, resource=ARN) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize("action", ["execute-api:*", "*", ["s3:Get*", "EXECUTE-API:invoke"]])
def test_policy_matches_actions(action: Any) -> None:
    policy = {"Statement": [statement(Action=action)]}
    assert evaluate(policy, resource=ARN) is Decision.ALLOW


def test_policy_ignores_another_action() -> None:
    policy = {"Statement": [statement(Action="execute-api:ManageConnections")]}
    assert evaluate(policy, resource=ARN) is Decision.IMPLICIT_DENY


def test_policy_deny_outweighs_any_allow() -> None:
    policy = {"Statement": [statement("Deny", "*"), statement()]}
    assert evaluate(policy, resource=ARN) is Decision.EXPLICIT_DENY
    elsewhere = {"Statement": [statement("Deny", "arn:*:other/*"), statement()]}
    assert evaluate(elsewhere, resource=ARN) is Decision.ALLOW


def test_policy_takes_a_single_statement_without_a_list() -> None:
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
def test_policy_refuses_elements_that_it_cannot_evaluate(policy: Any) -> None:
    with pytest.raises(MalformedPolicyError):
        evaluate(policy, resource=ARN)
