"""SQS's JSON protocol over one pool of connections."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from axon.adapters.aws.refusals import refusal
from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.aws.sigv4 import Credentials
from axon.adapters.http_client import Answer, HttpError, Limits
from axon.exceptions import UnavailableError
from axon.retry import RetryPolicy
from axon.serialization import dumps, loads

_CONNECT_S = 2.0
_ANSWER_S = 5.0


class _TransientError(Exception):
    """SQS asks to send the request again."""


RETRY = RetryPolicy(
    errors=(HttpError, _TransientError),
    max_attempts=4,
    first_pause_s=0.125,
    longest_pause_s=0.375,
)
"""At worst four attempts of 7 s and pauses of 0.125, 0.25 and 0.375 s: 28.75 s.

API Gateway gives an integration 29 s to answer a WebSocket message (a quota that cannot be raised),
so a function that sends a job with this policy can still tell the client that it failed.
"""


class SqsApi:
    """Calls operations of one queue; opens its connections with the first call.

    Parameters
    ----------
    queue_url : str
        Names the queue and, by its host, the endpoint.
    region : str
        The region that requests are signed for.
    credentials : Callable[[], Credentials]
        Called for each request.
    retry : RetryPolicy
        When a request is repeated. Every operation that Axon uses may be: a job or a record that
        is sent twice is recognized by its response.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        region: str,
        credentials: Callable[[], Credentials],
        retry: RetryPolicy = RETRY,
    ) -> None:
        parts = urlsplit(queue_url)
        self._queue_url = queue_url
        self._retry = retry
        self._client = SignedClient(
            origin=f"{parts.scheme}://{parts.netloc}",
            service="sqs",
            region=region,
            credentials=credentials,
        )

    async def call(self, operation: str, *, wait_s: float = 0, **parameters: Any) -> dict[str, Any]:
        """Call an operation of the queue; repeat it after a transient failure.

        Parameters
        ----------
        operation : str
            Name of the operation in SQS, such as ``SendMessage``.
        wait_s : float
            Seconds that the service itself may wait before it answers (a long poll).
        **parameters : Any
            Fields of the request as SQS names them; the queue URL is added.

        Raises
        ------
        PermanentRefusalError
            The service refused, and would refuse a repetition.
        UnavailableError
            The service refused for the moment, or failed in every attempt.
        """
        body = dumps({"QueueUrl": self._queue_url, **parameters})
        try:
            return await self._retry.run(lambda: self._call(operation, body, wait_s=wait_s))
        except self._retry.errors as error:
            raise UnavailableError(f"SQS {operation}: {error!r}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, operation: str, body: bytes, *, wait_s: float) -> dict[str, Any]:
        answer = await self._client.request(
            "POST",
            "/",
            body,
            limits=Limits(connect_s=_CONNECT_S, answer_s=_ANSWER_S + wait_s),
            target=f"AmazonSQS.{operation}",
            content_type="application/x-amz-json-1.0",
        )
        if answer.status == 200:
            parsed: dict[str, Any] = loads(answer.body) if answer.body else {}
            return parsed
        if _is_transient(answer):
            raise _TransientError(str(answer))
        raise refusal(f"SQS {operation}", answer)


def _is_transient(answer: Answer) -> bool:
    # Throttling comes as 400, under names that differ (RequestThrottled, ThrottlingException).
    return answer.status >= 500 or answer.status == 429 or b"hrottl" in answer.body
