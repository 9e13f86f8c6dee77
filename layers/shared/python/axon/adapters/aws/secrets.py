"""Secrets Manager: where RDS keeps, and rotates, the password of a database's owner."""

from typing import Any

from axon.adapters.aws.aws_json import AwsJsonApi
from axon.adapters.aws.credentials import process_credentials
from axon.serialization import loads


async def read_secret(arn: str, *, region: str) -> dict[str, Any]:
    """Return a secret's JSON object.

    Raises
    ------
    UnavailableError
        Secrets Manager refused, or did not answer.
    """
    api = AwsJsonApi(
        service="secretsmanager",
        target="secretsmanager",
        region=region,
        credentials=process_credentials().current,
    )
    answer = await api.call("GetSecretValue", SecretId=arn)
    secret: dict[str, Any] = loads(answer["SecretString"])
    return secret
