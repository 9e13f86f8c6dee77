"""The function that keeps API keys: the local cloud's, or an environment's on AWS."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from cli.endpoints import Endpoints
from cli.errors import CommandError

_REFUSED_CREDENTIALS = {
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
}
# A call is never repeated: a key could be made whose secret nobody has seen.
_CONFIG = Config(connect_timeout=5, read_timeout=35, retries={"total_max_attempts": 1})


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFunction:
    """Where the function is. `endpoint` is the local cloud's; it takes any credentials."""

    name: str
    region: str | None
    endpoint: str | None = None
    if_missing: str

    @classmethod
    def local(cls, data: Path) -> "KeyFunction":
        """Return that of the Axon that runs on the data folder."""
        return cls(
            name="keys",
            region="us-east-1",
            endpoint=Endpoints.read(data).lambda_endpoint,
            if_missing="the Axon that runs there is older than this command; restart it",
        )

    @classmethod
    def on_aws(cls, environment: str, *, region: str | None) -> "KeyFunction":
        """Return that of a deployed environment; credentials as every AWS client finds them."""
        return cls(
            name=f"axon-{environment}-keys",
            region=region or os.environ.get("AWS_REGION"),
            if_missing=f"no Axon environment {environment!r} is deployed in this account and "
            "region; choose others with AWS_PROFILE and --region",
        )

    def ask(self, **event: str) -> dict[str, Any]:
        """Invoke it; CommandError with one clear line for whatever is in the way."""
        try:
            failed, payload = self._invoke(event)
        except NoCredentialsError as error:
            raise CommandError(
                "no AWS credentials found; set AWS_PROFILE, or sign in with `aws sso login`"
            ) from error
        except NoRegionError as error:
            raise CommandError("no AWS region; give one with --region") from error
        except ClientError as error:
            raise CommandError(self._reason(error), code=1) from error
        except BotoCoreError as error:
            raise CommandError(str(error), code=1) from error
        if failed:
            reason = payload.get("errorMessage", payload)
            raise CommandError(f"the function {self.name} failed: {reason}", code=1)
        if "error" in payload:
            raise CommandError(payload["error"]["message"], code=1)
        return payload

    def _invoke(self, event: dict[str, str]) -> tuple[bool, dict[str, Any]]:
        """Return whether the function itself failed, and what it answered."""
        key = "local" if self.endpoint else None
        session = boto3.Session(
            aws_access_key_id=key, aws_secret_access_key=key, region_name=self.region
        )
        client = session.client("lambda", endpoint_url=self.endpoint, config=_CONFIG)
        try:
            answer = client.invoke(FunctionName=self.name, Payload=json.dumps(event).encode())
            return "FunctionError" in answer, json.loads(answer["Payload"].read())
        finally:
            client.close()

    def _reason(self, error: ClientError) -> str:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ResourceNotFoundException":
            return self.if_missing
        if code == "AccessDeniedException":
            return f"access denied; it takes the permission lambda:InvokeFunction on {self.name}"
        if code in _REFUSED_CREDENTIALS:
            return f"AWS refuses the credentials: {message}"
        return f"AWS: {code}: {message}"
