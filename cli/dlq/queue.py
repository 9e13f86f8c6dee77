"""The queue in which a queue's dead letters wait: looking without taking, moving, deleting."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from axon import catalog
from cli.dlq.message import DeadLetter, letter_of

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_S = 60
"""What a command holds is nobody else's for so long, and comes back if the command is killed."""

BATCH = 10
"""As many as SQS gives or takes at a time."""

_COUNTS: tuple[Any, ...] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def plain_name(definition: catalog.Queue) -> str:
    """Return what people call the queue."""
    return definition.name.removesuffix(".fifo")


class DeadLetterQueue:
    """The dead letters of one queue.

    Parameters
    ----------
    definition : catalog.Queue
        The queue in the catalog.
    url_of : Callable[[str], str]
        Finds the URL of a queue by its name in the catalog.
    wait_s : int
        How long SQS looks for letters before it says that there are none.
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
        """Return about how many letters there are, those included that somebody holds."""
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(_COUNTS))
        return sum(map(int, answer["Attributes"].values()))

    @contextmanager
    def hold(self, limit: int) -> Iterator[list[DeadLetter]]:
        """Take at most `limit` letters out of others' sight; give back what is left of them.

        What others hold is not among them, nor what waits behind it in its message group.
        """
        letters: dict[str, DeadLetter] = {}
        try:
            taken = 0
            while taken < limit and (messages := self._receive(min(BATCH, limit - taken))):
                taken += len(messages)
                for message in messages:
                    letter = letter_of(message, queue=self.name)
                    known = letters.setdefault(letter.id, letter)
                    if known is not letter:  # parked twice, or held for too long
                        known.receipts.extend(letter.receipts)
            yield list(letters.values())
        finally:
            self._give_back([receipt for each in letters.values() for receipt in each.receipts])

    def each(self) -> Generator[DeadLetter]:
        """Hold one letter after the other, for as long as there are any; each one once.

        Who uses them deletes them. Of a message group they come in its order.
        """
        seen: set[str] = set()
        while True:
            with self.hold(BATCH) as letters:
                if not letters:
                    return
                for letter in letters:
                    if letter.id in seen:
                        self.delete(letter)
                        continue
                    seen.add(letter.id)
                    yield letter

    def send_back(self, letter: DeadLetter) -> None:
        """Send it where it was tried in vain, again, and delete the letter.

        Between the two nothing is lost; what a crash leaves in both places is sent once more, or
        not at all within SQS's five minutes of deduplication.
        """
        options: dict[str, Any] = {"MessageGroupId": letter.group} if letter.group else {}
        if self._definition.fifo:
            options["MessageDeduplicationId"] = f"redrive-{letter.id}"
        self._client.send_message(
            QueueUrl=self._url_of(self._definition.name), MessageBody=letter.body, **options
        )
        self.delete(letter)

    def delete(self, letter: DeadLetter) -> None:
        """Delete a letter that is held, with its copies."""
        while letter.receipts:
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipts[-1])
            letter.receipts.pop()

    def _receive(self, limit: int) -> "list[MessageTypeDef]":
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=HOLD_S,
            WaitTimeSeconds=self._wait_s,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _give_back(self, receipts: list[str]) -> None:
        """What cannot be given back now comes back by itself."""
        with suppress(BotoCoreError, ClientError):
            for start in range(0, len(receipts), BATCH):
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                        for number, receipt in enumerate(receipts[start : start + BATCH])
                    ],
                )
