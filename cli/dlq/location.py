"""Finds the dead-letter queues: those of the local cloud, or of an environment on AWS."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.config import Config

from axon import catalog
from cli.aws import IF_OLD, LOCAL_REGION, explained, if_missing, session
from cli.dlq.message import SHORTEST_ID, DeadLetter
from cli.dlq.queue import DeadLetterQueue, plain_name
from cli.endpoints import Endpoints
from cli.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

SCANNED = 1000
"""Largest number of dead letters of a queue that are searched for one id."""

WAIT_S = 1
"""Long polling: without it SQS asks only some of its servers, and may miss messages."""

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard"})
_MISSING = ("NonExistentQueue", "QueueDoesNotExist")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterQueues:
    """The dead-letter queues of one Axon.

    Parameters
    ----------
    prefix : str
        Start of the queues' names on AWS.
    region : str | None
        Region on AWS; None to let boto3 choose.
    endpoint : str | None
        SQS of the local cloud; None for AWS.
    urls : dict[str, str] | None
        Queue URLs by the catalog's names, where they are known; else SQS is asked.
    wait_s : int
        Long polling, in seconds.
    if_missing : str
        Message to the operator when a queue does not exist.
    """

    prefix: str
    region: str | None
    endpoint: str | None = None
    urls: dict[str, str] | None = None
    wait_s: int
    if_missing: str

    @classmethod
    def local(cls, data: Path) -> "DeadLetterQueues":
        """Return those of the Axon that runs on the data folder."""
        endpoints = Endpoints.read(data)
        return cls(
            prefix="",
            region=LOCAL_REGION,
            endpoint=endpoints.aws_endpoint,
            urls=endpoints.queues,
            wait_s=0,
            if_missing=IF_OLD,
        )

    @classmethod
    def on_aws(cls, environment: str, *, region: str | None) -> "DeadLetterQueues":
        """Return those of a deployed environment; credentials as every AWS client finds them."""
        return cls(
            prefix=f"axon-{environment}-",
            region=region or os.environ.get("AWS_REGION"),
            wait_s=WAIT_S,
            if_missing=if_missing(environment),
        )

    @contextmanager
    def opened(self, name: str | None = None) -> Iterator[list[DeadLetterQueue]]:
        """Open them all, or that of the queue `name`.

        Raises
        ------
        CommandError
            A call to SQS failed, now or within the block; the message is one clear line.
        """
        with explained(self._reason), ExitStack() as stack:
            aws = session(region=self.region, local=self.endpoint is not None)
            client = aws.client("sqs", endpoint_url=self.endpoint, config=_CONFIG)
            stack.callback(client.close)
            yield [
                DeadLetterQueue(
                    client=client,
                    definition=definition,
                    url_of=self._finder(client),
                    wait_s=self.wait_s,
                )
                for definition in catalog.QUEUES
                if name in (None, plain_name(definition))
            ]

    def _finder(self, client: "SQSClient") -> Callable[[str], str]:
        def find(queue: str) -> str:
            if self.urls is None:
                return client.get_queue_url(QueueName=self.prefix + queue)["QueueUrl"]
            if queue not in self.urls:
                raise CommandError(self.if_missing, code=1)
            return self.urls[queue]

        return find

    def _reason(self, code: str, message: str) -> str | None:
        if code.endswith(_MISSING):
            return self.if_missing
        if "AccessDenied" in code:
            return f"access denied; docs/deploy.md, Dead letters, has the permissions: {message}"
        return None


@contextmanager
def found(
    queues: Sequence[DeadLetterQueue], start: str
) -> Iterator[tuple[DeadLetterQueue, DeadLetter]]:
    """Hold the one dead letter whose id starts with `start`, with its queue.

    Raises
    ------
    CommandError
        `start` is too short, or no dead letter, or more than one, has such an id.
    """
    if len(start) < SHORTEST_ID:
        raise CommandError(f"an id has at least {SHORTEST_ID} characters")
    with ExitStack() as stack:
        matches = [
            (queue, letter)
            for queue in queues
            for letter in stack.enter_context(queue.peek(SCANNED))
            if letter.message_id.startswith(start)
        ]
        if not matches:
            raise CommandError(
                f"there is no dead letter {start}; if `axon dlq list` shows it, another command "
                "holds it: try again in a minute",
                code=1,
            )
        if len(matches) > 1:
            raise CommandError(
                f"several dead letters begin with {start}; give more of the id", code=1
            )
        yield matches[0]
