"""Tasks after the servers' start: the database schema, and the well-known API key."""

import json

from local.errors import LocalCloudError
from local.services.queues import REGION

LOCAL = "local"


def migrate(lambda_endpoint: str, *, token: str | None = None) -> None:
    """Invoke the function that brings the schema up to date, and wait for it.

    Parameters
    ----------
    lambda_endpoint : str
        The Lambda service, without a path.
    token : str | None
        Session token that the service requires.

    Raises
    ------
    LocalCloudError
        The function failed or could not be invoked.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "lambda",
        endpoint_url=lambda_endpoint,
        region_name=REGION,
        aws_access_key_id=LOCAL,
        aws_secret_access_key=LOCAL,
        aws_session_token=token,
        config=Config(read_timeout=300, retries={"total_max_attempts": 1}),
    )
    try:
        answer = client.invoke(FunctionName="migrate", Payload=b"{}")
        payload = answer["Payload"].read()
    except (BotoCoreError, ClientError) as error:
        raise LocalCloudError(f"the database could not be migrated: {error}") from error
    finally:
        client.close()
    if "FunctionError" in answer:
        reason = json.loads(payload).get("errorMessage", payload)
        raise LocalCloudError(f"the database could not be migrated: {reason}")


async def create_key(*, dsn: str, valkey_url: str, secret: str, tenant_id: str) -> None:
    """Add the well-known key, unless it exists.

    Raises
    ------
    LocalCloudError
        PostgreSQL refused it or does not answer.
    """
    from axon.adapters.api_keys import api_keys
    from axon.adapters.postgres.pool import create_pool
    from axon.adapters.valkey.client import Valkey
    from axon.exceptions import AxonError
    from axon.settings import PostgresSettings

    pool = create_pool(PostgresSettings(postgres_dsn=dsn), max_size=1)
    valkey = Valkey(valkey_url)
    try:
        # Valkey, too: a client that came before the key is remembered there as one without.
        keys = api_keys(valkey=valkey, pool=pool)
        await keys.create(tenant_id=tenant_id, name="local", secret=secret)
    except AxonError as error:
        raise LocalCloudError(f"the API key could not be made: {error}") from error
    finally:
        await valkey.close()
        await pool.close()
