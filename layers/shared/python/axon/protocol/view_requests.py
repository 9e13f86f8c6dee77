"""Requests of APIs that are views of the Responses API, with the fields that it does not have."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from axon.protocol.requests import CreateResponse

MAX_STOPS = 16
"""Most stop strings of a request, in any API. A worker looks for each of them at each character: 16
take 4 µs at worst, and 0.8 ms before the first character if they are as long as may be."""
OPENAI_STOPS = 4
"""Most stop strings of a request of OpenAI's APIs (OpenAI's limit)."""

StopStrings = list[Annotated[str, Field(min_length=1, max_length=256)]]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""A seed in OpenAI's bounds: a signed number of 64 bits."""
TopK = Annotated[
    Annotated[int, Field(ge=1, le=1_000_000)] | None,
    # By which vLLM and Anthropic's API mean that nothing is left out.
    BeforeValidator(lambda value: None if value in (-1, 0) and value is not False else value),
]
LogitBias = Annotated[
    Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[0-9]{1,9}$")],
            Annotated[float, Field(ge=-100, le=100)],
        ],
        Field(max_length=1_024),
    ]
    | None,
    BeforeValidator(lambda value: None if value == {} else value),
]


class ViewRequest(CreateResponse):
    """A request of another API, as the Responses request that says the same.

    Of the Responses API's own bodies nobody makes one: that refuses these fields by name.

    Parameters
    ----------
    stop, seed, top_k, logit_bias
        Sampling parameters, as in Chat Completions.
    early_usage : bool | None
        The first event of the output is to tell the tokens of the prompt (`Transcript`).
    n : int | None
        How many answers the client has asked for, if several: each has a request like this. It only
        tells apart two requests with one idempotency key.
    count_only : bool | None
        Nothing is generated: the response ends with the tokens of its prompt as its usage.
    """

    stop: Annotated[StopStrings, Field(max_length=MAX_STOPS)] | None = None
    seed: Seed | None = None
    top_k: TopK = None
    logit_bias: LogitBias = None
    early_usage: bool | None = None
    n: int | None = None
    count_only: bool | None = None


def to_count(request: CreateResponse) -> ViewRequest:
    """Return the request that counts the tokens which a request's prompt would have."""
    given = {name: getattr(request, name) for name in request.model_fields_set}
    # A worker of the version before generates: of a prompt that is not cut, one token is enough.
    # One that is cut leaves room for the answer, so its tokens depend on the answer's limit.
    limit = {} if request.truncation == "auto" else {"max_output_tokens": 1}
    # A request that asks for no answer has a prompt all the same.
    counting = {"generate": True, "store": False, "idempotency_key": None, "early_usage": None}
    return ViewRequest(**given | limit | counting | {"count_only": True})
