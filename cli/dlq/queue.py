"""A dead-letter queue: look at its messages, move them back, delete them."""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from axon import catalog
from cli.dlq.message import DeadLetter, dead_letter

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

VISIBILITY_TIMEOUT_S = 60
"""Time for which other commands do not see what one has received; a killed command's dead letters
are visible again after it."""

BATCH = 10
"""Largest number of messages in one call (SQS quota)."""

_COUNTS: tuple[Any, ...] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def plain_name(definition: catalog.Queue) -> str:
    """Return the queue's name as the command shows and takes it."""
    return definition.name.removesuffix(".fifo")


class DeadLetterQueue:
    """The dead letters of one queue.

    Parameters
    ----------
    client : SQSClient
        boto3's client of SQS.
    definition : catalog.Queue
        The queue in the catalog.
    url_of : Callable[[str], str]
        Finds the URL of a queue by its name in the catalog.
    wait_s : int
        Long polling: how long SQS looks for messages before it returns none.
    """

    def __init__(
        self,
        *,
        client: "SQSClient",
        definition: catalog.Queue,
        url_of: Callable[[str], str],
        wait_s: int,
    ) -> None:
        self.name = plain_name(definition)
        self._client = client
        self._definition = definition
        self._url_of = url_of
        self._wait_s = wait_s
        self._url = url_of(definition.operator_queue)

    def count(self) -> int:
        """Return the approximate number of dead letters, including those that a command holds."""
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(_COUNTS))
        return sum(map(int, answer["Attributes"].values()))

    @contextmanager
    def peek(self, limit: int) -> Iterator[list[DeadLetter]]:
        """Receive at most `limit` dead letters; at the end release those that are not deleted.

        Those that another command holds are not among them, nor those behind them in their
        message group.
        """
        letters: dict[str, DeadLetter] = {}
        try:
            taken = 0
            while taken < limit and (messages := self._receive(min(BATCH, limit - taken))):
                taken += len(messages)
                for message in messages:
                    letter = dead_letter(message, queue=self.name)
                    known = letters.setdefault(letter.message_id, letter)
                    # Parked twice, or its visibility timeout ended during this loop: either way
                    # all its receipt handles are needed to delete it.
                    if known is not letter:
                        known.receipt_handles.extend(letter.receipt_handles)
            yield list(letters.values())
        finally:
            self._release([handle for each in letters.values() for handle in each.receipt_handles])

    def receive_all(self) -> Generator[DeadLetter]:
        """Yield each dead letter once, until none is left; within a message group in order.

        The caller deletes or redrives each one before it asks for the next.
        """
        seen: set[str] = set()
        while True:
            with self.peek(BATCH) as letters:
                if not letters:
                    return
                for letter in letters:
                    # A copy that came in a later batch: its message has been dealt with.
                    if letter.message_id in seen:
                        self.delete(letter)
                        continue
                    seen.add(letter.message_id)
                    yield letter

    def redrive(self, letter: DeadLetter) -> None:
        """Send the message to the queue it came from, then delete the dead letter.

        A crash between the two leaves it in both queues, so that nothing is lost. The next redrive
        then sends it once more, or, to a FIFO queue within SQS's deduplication interval of five
        minutes, does not.
        """
        options: dict[str, Any] = {"MessageGroupId": letter.group_id} if letter.group_id else {}
        if self._definition.fifo:
            # Not the deduplication id of its first sending: SQS would drop the message.
            options["MessageDeduplicationId"] = f"redrive-{letter.message_id}"
        self._client.send_message(
            QueueUrl=self._url_of(self._definition.name), MessageBody=letter.body, **options
        )
        self.delete(letter)

    def delete(self, letter: DeadLetter) -> None:
        """Delete a dead letter that was received, with its copies."""
        while letter.receipt_handles:
            handle = letter.receipt_handles[-1]
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
            # Only now: after a failure `peek` releases the copies that are left.
            letter.receipt_handles.pop()

    def _receive(self, limit: int) -> "list[MessageTypeDef]":
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=VISIBILITY_TIMEOUT_S,
            WaitTimeSeconds=self._wait_s,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _release(self, handles: list[str]) -> None:
        """Make messages visible to others at once; without success they are after the timeout."""
        try:
            for start in range(0, len(handles), BATCH):
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                        for number, handle in enumerate(handles[start : start + BATCH])
                    ],
                )
        except (BotoCoreError, ClientError) as error:
            # Said, not raised: what the command was asked for is done. An operator who looks again
            # at once would otherwise take the queue for empty.
            print(
                f"dead letters of {self.name} are hidden for up to {VISIBILITY_TIMEOUT_S} s, "
                f"because SQS did not release them: {error}",
                file=sys.stderr,
            )
