"""Use of a deployment: keys, responses, history, and correct failures."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis

from axon import catalog
from local.supervision.child import Child
from local.supervision.spawning import INHERITED
from tests.deploy import environment, front
from tests.deploy.client import Client, complete, connected, refusal, text_of
from tests.deploy.machine import Machine
from tests.deploy.steps import StepError, require
from tests.deploy.tasks import Task

T = TypeVar("T")

UNAUTHORIZED = 401
LARGE = " ".join(f"{number:x<999}" for number in range(1_000))
"""A megabyte, which no queue carries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A deployed environment, used from outside."""

    machine: Machine
    name: str
    url: str

    @property
    def _cluster(self) -> str:
        return f"axon-{self.name}-inference"

    @property
    def _service(self) -> str:
        return f"axon-{self.name}-worker"

    def create_key(self) -> str:
        """Make an API key by the command that its owner has."""
        command = [str(Path(sys.executable).with_name("axon")), "keys", "create", "proof"]
        inherited = {n: v for n, v in environment.with_node().items() if n in INHERITED}
        done = subprocess.run(
            [*command, "--env", self.name],
            capture_output=True,
            text=True,
            env={**inherited, **self.machine.aws},
            check=False,
        )
        require(done.returncode == 0, f"axon keys: {done.stderr}")
        return done.stdout.strip()

    def start_relay(self) -> Child:
        return self._start("relay")

    def start_worker(self) -> Child:
        return self._start("worker")

    def _start(self, container: str) -> Child:
        family = f"axon-{self.name}-{container}"
        return Task.read(self.machine, family=family, container=container).start(self.machine)

    def refuses_a_wrong_key(self) -> None:
        status = refusal(self.machine, self.url, "sk-axon-wrong")
        require(status == UNAUTHORIZED, f"a wrong key was refused with {status}")

    def starts_a_worker_for(self, key: str) -> Child:
        """Ask while no worker runs: the desired count becomes one, and that worker answers."""
        self._scale_to_zero()
        with connected(self.machine, self.url, key) as client:
            client.send(model="echo", input="count to 20")
            events = client.receive(upto=lambda event: event.type == "response.created")
            _until(lambda: self._desired_workers() == 1, "the worker service to be started")
            worker = self.start_worker()
            text = text_of(complete(events + client.receive()))
        require(text == " ".join(map(str, range(1, 21))), f"the answer was {text!r}")
        return worker

    def converses(self, key: str) -> list[str]:
        """Take two turns and be refused a third; return the ids of the responses."""
        with connected(self.machine, self.url, key) as client:
            first = client.turn(model="echo", input="one two three")
            require(text_of(first) == "one two three", f"the answer was {first}")
            previous = first[-1].response.id
            second = client.turn(model="echo", input="four", previous_response_id=previous)
            usage = second[-1].response.usage
            # Two turns of three words, and the new one.
            require(usage.input_tokens == 7, f"the conversation did not go on: {usage}")
            (refused,) = client.turn(model="no-such-model", input="x")
            require(refused.type == "error", f"an unknown model gave {refused}")
            require(refused.code == "model_not_found", f"an unknown model gave {refused}")
        return [previous, second[-1].response.id]

    def streams_over_http(self, key: str) -> tuple[str, str]:
        """Ask the front function: without a right key, for the models, for streams.

        Returns
        -------
        tuple[str, str]
            The ids of the responses; the second one's input is `LARGE`.
        """
        function = f"axon-{self.name}-front"
        front.require_streaming_url(self.machine, function)
        large = [{"role": "user", "content": text} for text in (LARGE, "count to 3")]
        refused, models, stream, long = front.ask(
            self.machine,
            function,
            front.request("sk-axon-wrong", "/v1/models"),
            front.request(key, "/v1/models"),
            front.request(key, "/v1/responses", model="echo", input="six seven", stream=True),
            front.request(key, "/v1/responses", model="echo", input=large, stream=True),
        )
        status = refused.prelude["statusCode"]
        require(status == UNAUTHORIZED, f"a wrong key was refused with {status}")
        names = [model["id"] for model in json.loads(models.body)["data"]]
        require("echo" in names, f"the models are {names}")
        text = front.streamed_text(stream)
        require(text == "six seven", f"the answer was {text!r}")
        text = front.streamed_text(long)
        require(text == "1 2 3", f"the answer to a large input was {text!r}")
        return front.response_id(stream), front.response_id(long)

    def takes_an_upload(self, key: str) -> None:
        """Upload a request that a function URL would not take, then send it."""
        function = f"axon-{self.name}-front"
        texts = (8 * LARGE.replace(" ", "\n"), "count to 4")
        asked = [{"role": "user", "content": text} for text in texts]
        body = json.dumps({"model": "echo", "input": asked, "stream": True}).encode()
        made = front.upload(self.machine, function, key, body)
        sent = front.uploaded_request(key, "/v1/responses", made)
        (stream,) = front.ask(self.machine, function, sent)
        text = front.streamed_text(stream)
        require(text == "1 2 3 4", f"the answer to an uploaded request was {text!r}")

    def stores_large_input(self, response: str) -> None:
        """Find a large input in PostgreSQL, and in the bucket no more."""
        with self.machine.servers.administrator() as connection:
            query = "SELECT input->0->>'content' FROM responses WHERE response_id = %s"
            (found,) = connection.execute(query, (response,)).fetchone() or ("",)
        require(found == LARGE, "the large input is not in PostgreSQL")
        _until(lambda: not self._payloads(response), "the payload to be deleted")

    def _payloads(self, response: str) -> list[str]:
        s3 = self.machine.client("s3")
        (bucket,) = (
            each["Name"] for each in s3.list_buckets()["Buckets"] if "-payloads-" in each["Name"]
        )
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return [key for key in keys if response in key]

    def keeps_history(self, responses: list[str]) -> None:
        """Find the responses of a conversation in PostgreSQL, written by the function."""
        conversations = _until(lambda: self._conversations(responses), "history in PostgreSQL")
        require(conversations == [len(responses)], f"by conversation: {conversations}")

    def recalls(self, key: str, response: str) -> None:
        """Empty Valkey, then go on with the conversation, which is in PostgreSQL only."""
        with Redis(port=self.machine.plan.valkey_port) as valkey:
            valkey.flushall()
        with connected(self.machine, self.url, key) as client:
            # Refused with a plea to retry until the relay has announced itself again.
            third = _until(lambda: _taken(client, response), "Valkey to know the relay again")
        require(text_of(third) == "five", f"the answer was {third}")
        usage = third[-1].response.usage
        # The second turn's input and answer, and the new word.
        require(usage.input_tokens == 9, f"the conversation was forgotten: {usage}")

    def gives_up(self, key: str) -> None:
        """Make a job fail as often as workers may, and expect `response.failed`.

        No worker must run.
        """
        with connected(self.machine, self.url, key) as client:
            client.send(model="echo", input="poison")
            events = client.receive(upto=lambda event: event.type == "response.created")
            self._fail_job()
            last = complete(events + client.receive())[-1]
        require(last.type == "response.failed", f"a poisonous job ended with {last}")
        self.keeps_history([last.response.id])

    def _fail_job(self) -> None:
        sqs = self.machine.client("sqs")
        queue = sqs.get_queue_url(QueueName=f"axon-{self.name}-{catalog.JOBS.name}")["QueueUrl"]
        for _ in range(catalog.JOBS.max_receives):
            found = _until(
                lambda: sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0).get("Messages"),
                "the job",
            )
            require(json.loads(found[0]["Body"]), "the job is empty")
        # The receive that is one too many moves it to the dead-letter queue.
        _until(lambda: not sqs.receive_message(QueueUrl=queue).get("Messages"), "the dead letter")

    def _scale_to_zero(self) -> None:
        """Set the desired count to zero, as Application Auto Scaling does: ECS starts with one."""
        self.machine.client("ecs").update_service(
            cluster=self._cluster, service=self._service, desiredCount=0
        )

    def _desired_workers(self) -> int:
        answer = self.machine.client("ecs").describe_services(
            cluster=self._cluster, services=[self._service]
        )
        desired: int = answer["services"][0]["desiredCount"]
        return desired

    def _conversations(self, responses: list[str]) -> list[int]:
        """Return how many of the responses each of their conversations has; none before all."""
        query = """
            SELECT count(*) FROM responses WHERE response_id = ANY(%s) GROUP BY conversation_id
        """
        with self.machine.servers.administrator() as connection:
            found: list[Any] = connection.execute(query, (responses,)).fetchall()
        counts: list[int] = [count for (count,) in found]
        return counts if sum(counts) == len(responses) else []


def _taken(client: Client, previous: str) -> list[Any]:
    """Ask for one turn more; return its events, or none when Axon is too busy for it."""
    events = client.turn(model="echo", input="five", previous_response_id=previous)
    last = events[-1]
    return [] if last.type == "error" and last.code == "server_overloaded" else events


def _until(ask: Callable[[], T], what: str, *, within_s: float = 30) -> T:
    """Return the first answer that is true."""
    deadline = time.monotonic() + within_s
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise StepError(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.1)
    return answer
