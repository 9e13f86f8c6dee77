"""The two SQS calls that an event source makes, over HTTP and its JSON protocol.

boto3 would need a thread for each poll, which nothing can interrupt, and ten times the CPU time.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from local.http.client import HttpClient, HttpClientError

_CONTENT_TYPE = "application/x-amz-json-1.0"
_POLL_SLACK_S = 10.0


class SqsError(Exception):
    """The queue refused a call, or no server answers at its address."""


class SqsQueue:
    """One queue; the credentials are placeholders, since the local SQS checks the token only."""

    def __init__(self, *, queue_url: str, region: str, token: str | None = None) -> None:
        parts = urlsplit(queue_url)
        self._client = HttpClient(endpoint=f"{parts.scheme}://{parts.netloc}", token=token)
        self._queue_url = queue_url
        self._authorization = (
            f"AWS4-HMAC-SHA256 Credential=local/20000101/{region}/sqs/aws4_request, "
            "SignedHeaders=host, Signature=local"
        )

    async def receive(self, *, limit: int, wait_s: int) -> list[dict[str, Any]]:
        """Return up to `limit` messages; wait up to `wait_s` seconds for the first.

        Raises
        ------
        SqsError
            The call failed.
        """
        body = {
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": wait_s,
            "AttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        answer = await self._call("ReceiveMessage", body, timeout_s=wait_s + _POLL_SLACK_S)
        messages: list[dict[str, Any]] = answer.get("Messages") or []
        return messages

    async def delete(self, receipt_handles: Sequence[str]) -> None:
        """Delete up to ten received messages.

        Raises
        ------
        SqsError
            At least one was not deleted.
        """
        entries = [
            {"Id": str(index), "ReceiptHandle": handle}
            for index, handle in enumerate(receipt_handles)
        ]
        answer = await self._call("DeleteMessageBatch", {"Entries": entries})
        if answer.get("Failed"):
            raise SqsError(f"{self._queue_url}: not deleted: {answer['Failed']}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _call(
        self, operation: str, body: dict[str, Any], *, timeout_s: float = _POLL_SLACK_S
    ) -> dict[str, Any]:
        headers = {
            "Content-Type": _CONTENT_TYPE,
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Authorization": self._authorization,
        }
        content = json.dumps({"QueueUrl": self._queue_url, **body}).encode()
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.request("POST", "/", body=content, headers=headers)
        except (HttpClientError, TimeoutError) as error:
            raise SqsError(f"{operation} {self._queue_url}: {error or 'no answer'}") from error
        text = response.body.decode(errors="replace")
        if response.status != 200:
            raise SqsError(f"{operation} {self._queue_url}: {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer
