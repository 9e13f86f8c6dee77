"""Invokes the functions for operators, in the local cloud or on AWS."""

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config

from cli.aws import IF_OLD, LOCAL_REGION, explained, if_missing, session
from cli.endpoints import Endpoints
from cli.errors import CommandError

# A call is never repeated: the function may have run, and would then act twice.
_CONFIG = Config(connect_timeout=5, read_timeout=35, retries={"total_max_attempts": 1})


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function for operators.

    Parameters
    ----------
    name : str
        Name of the function on AWS or in the local cloud.
    region : str | None
        Region on AWS; None to let boto3 choose.
    endpoint : str | None
        The local cloud's Lambda service; None for AWS.
    token : str | None
        The local cloud's session token; None for AWS.
    if_missing : str
        Message to the operator when the function does not exist.
    """

    name: str
    region: str | None
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    if_missing: str

    @classmethod
    def chosen(cls, name: str, arguments: argparse.Namespace) -> "Function":
        """Return the function in the place that the arguments name (`cli.arguments.add_place`).

        Raises
        ------
        CommandError
            A region is given without an environment, or no local cloud runs.
        """
        if arguments.env:
            return cls.on_aws(name, arguments.env, region=arguments.region)
        if arguments.region:
            raise CommandError("--region needs --env")
        return cls.local(name, arguments.data)

    @classmethod
    def local(cls, name: str, data: Path) -> "Function":
        """Return the function of the local cloud on the data folder."""
        endpoints = Endpoints.read(data)
        return cls(
            name=name,
            region=LOCAL_REGION,
            endpoint=endpoints.lambda_endpoint,
            token=endpoints.aws_session_token,
            if_missing=IF_OLD,
        )

    @classmethod
    def on_aws(cls, name: str, environment: str, *, region: str | None) -> "Function":
        """Return the function of a deployed environment."""
        return cls(
            name=f"axon-{environment}-{name}",
            region=region or os.environ.get("AWS_REGION"),
            if_missing=if_missing(environment),
        )

    def ask(self, **event: Any) -> dict[str, Any]:
        """Invoke the function and return its answer.

        Raises
        ------
        CommandError
            It cannot be invoked, failed, or refused the event.
        """
        with explained(self._reason):
            failed, payload = self._invoke(event)
        if failed:
            reason = payload.get("errorMessage", payload)
            raise CommandError(f"the function {self.name} failed: {reason}", code=1)
        if "error" in payload:
            raise CommandError(payload["error"]["message"], code=1)
        return payload

    def _invoke(self, event: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Return whether the function failed, and its answer."""
        aws = session(region=self.region, local=self.endpoint is not None, token=self.token)
        client = aws.client("lambda", endpoint_url=self.endpoint, config=_CONFIG)
        try:
            answer = client.invoke(FunctionName=self.name, Payload=json.dumps(event).encode())
            return "FunctionError" in answer, json.loads(answer["Payload"].read())
        finally:
            client.close()

    def _reason(self, code: str, _message: str) -> str | None:
        if code == "ResourceNotFoundException":
            return self.if_missing
        if code == "AccessDeniedException":
            return f"access denied; it takes the permission lambda:InvokeFunction on {self.name}"
        return None
