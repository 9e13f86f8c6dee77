import pytest

from axon.exceptions import RequestError
from axon.serialization import dumps
from worker.sagemaker.requests import accept

MODELS = {"echo"}


def test_accept_takes_the_body_of_the_responses_api() -> None:
    body = {
        "model": "echo",
        "input": [{"role": "user", "content": "What?"}],
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "top_p": 0.5,
        "service_tier": "priority",
        "metadata": {"a": "b"},
        "stream": None,
    }
    accepted = accept(dumps(body), models=MODELS)
    job = accepted.job
    assert not accepted.streamed
    assert job.input == [{"type": "message", "role": "user", "content": "What?"}]
    assert (job.sampling, job.priority) == ({"top_p": 0.5}, 1)
    assert job.response["max_output_tokens"] == 7
    assert job.response["metadata"] == {"a": "b"}


@pytest.mark.parametrize("store", [True, False, None])
def test_accept_never_stores_a_response(store: bool | None) -> None:
    accepted = accept(dumps({"model": "echo", "input": "x", "store": store}), models=MODELS)
    assert not accepted.job.stored
    assert accepted.job.response["store"] is False


def test_accept_refuses_tools_that_a_service_would_run() -> None:
    body = {"model": "echo", "input": "x", "tools": [{"type": "web_search"}]}
    with pytest.raises(RequestError) as caught:
        accept(dumps(body), models=MODELS)
    assert caught.value.param == "tools.0.type"


def test_accept_ignores_fields_of_the_websocket() -> None:
    websocket = {"type": "response.cancel", "stream_id": "s", "generate": False}
    body = {"model": "echo", "input": "hi"} | websocket
    assert accept(dumps(body), models=MODELS).job.stream_id is None


def test_accept_refuses_an_unknown_model_first() -> None:
    with pytest.raises(RequestError) as caught:
        accept(b'{"model": "gpt", "input": 7}', models=MODELS)
    assert caught.value.param == "input"
