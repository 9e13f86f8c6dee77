"""Access to AWS for the commands, and their messages when it fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from cli.errors import CommandError

LOCAL_REGION = "us-east-1"

_REFUSED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


def session(*, region: str | None, local: bool, token: str | None = None) -> boto3.Session:
    """Return a session, with placeholder keys and the token of its run for a local cloud.

    On AWS the credentials are found as every AWS client finds them.
    """
    key = "local" if local else None
    return boto3.Session(
        aws_access_key_id=key,
        aws_secret_access_key=key,
        aws_session_token=token,
        region_name=region,
    )


def if_missing(environment: str) -> str:
    """Return the message for an environment that does not exist."""
    return (
        f"no Axon environment {environment!r} is deployed in this account and region; "
        "choose others with AWS_PROFILE and --region"
    )


IF_OLD = "the Axon that runs there is older than this command; restart it"


@contextmanager
def explained(reason: Callable[[str, str], str | None]) -> Iterator[None]:
    """Turn the errors of AWS calls within the block into CommandError, with one clear line.

    Parameters
    ----------
    reason : Callable[[str, str], str | None]
        Returns the command's own message for an error code and its message, or None.

    Raises
    ------
    CommandError
        A call failed.
    """
    try:
        yield
    except NoCredentialsError as error:
        raise CommandError(
            "no AWS credentials found; set AWS_PROFILE, or sign in with `aws sso login`"
        ) from error
    except NoRegionError as error:
        raise CommandError("no AWS region; give one with --region") from error
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise CommandError(reason(code, message) or _refusal(code, message), code=1) from error
    except BotoCoreError as error:
        raise CommandError(str(error), code=1) from error


def _refusal(code: str, message: str) -> str:
    if code in _REFUSED_CREDENTIALS:
        return f"AWS refuses the credentials: {message}"
    return f"AWS: {code}: {message}"
