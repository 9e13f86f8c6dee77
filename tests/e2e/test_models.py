"""`axon models` against the running cloud: the command, the function, and what it keeps."""

import subprocess
from typing import Any

from openai import OpenAI
from openai.resources.responses.responses import ResponsesConnection

from tests.e2e.cloud import AXON, Cloud

LAST = ("response.completed", "response.failed", "response.incomplete", "error")


def axon_models(cloud: Cloud, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(AXON), "models", *arguments, "--data", str(cloud.data)]
    if arguments[0] != "list":
        command += ["--timeout", "15"]  # notified workers do not wait for their poll, every 30 s
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def listed(cloud: Cloud, model: str) -> list[str]:
    """Return a model's line of the list, by its columns."""
    told = axon_models(cloud, "list")
    assert told.returncode == 0, told.stderr
    (line,) = (line for line in told.stdout.splitlines() if line.split()[0] == model)
    return line.split()


def ask(connection: ResponsesConnection, text: str, *, model: str = "parrot") -> None:
    connection.response.create(model=model, input=text)


def rest_of(connection: ResponsesConnection) -> Any:
    """Return the event that ends the answer, or refuses it."""
    return next(event for event in connection if event.type in LAST)


def test_model_is_loaded_swapped_and_unloaded_while_others_serve(
    cloud: Cloud, client: OpenAI
) -> None:
    load = ("load", "parrot", "--engine", "echo", "--set", "echo_token_ms=20")
    loaded = axon_models(cloud, *load)
    assert (loaded.returncode, loaded.stdout) == (0, "parrot is served by 1 worker\n"), (
        loaded.stderr
    )
    first = listed(cloud, "parrot")
    assert (first[1:3], first[-2:]) == (["serving", "1/1"], ["echo", "-"])

    again = axon_models(cloud, *load)
    assert again.returncode == 1
    assert again.stderr.startswith("axon: parrot is served or wanted already; swap it")

    with client.responses.connect() as connection:
        ask(connection, "count to 100")  # it takes 2 s
        next(event for event in connection if event.type == "response.output_text.delta")
        swapped = axon_models(cloud, "swap", "parrot", "--engine", "echo", "--set", "slots=2")
        assert swapped.returncode == 0, swapped.stderr
        assert int(listed(cloud, "parrot")[-3]) > int(first[-3])
        ended = rest_of(connection)
        assert (ended.type, ended.response.model) == ("response.completed", "parrot")
        assert ended.response.output_text == " ".join(map(str, range(1, 101)))

        ask(connection, "hello again")
        assert rest_of(connection).response.output_text == "hello again"

        unloaded = axon_models(cloud, "unload", "parrot")
        assert (unloaded.returncode, unloaded.stdout) == (0, "parrot is unloaded\n")
        assert listed(cloud, "parrot")[1] == "unloaded"
        ask(connection, "anybody there?")
        refused = rest_of(connection)
        assert (refused.type, refused.error.code) == ("error", "model_not_found")
        ask(connection, "still there", model="echo")
        assert rest_of(connection).response.output_text == "still there"


def test_models_command_reports_a_mistake_in_one_line(cloud: Cloud) -> None:
    unknown = axon_models(cloud, "unload", "nobody")
    said = "axon: nobody wants or serves nobody; there is nothing to unload\n"
    assert (unknown.returncode, unknown.stderr) == (1, said)
    wrong = axon_models(cloud, "load", "x", "--engine", "echo", "--set", "slots=0")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("axon: slots: Input should be greater than or equal to 1")
    assert wrong.stderr.count("\n") == 1
