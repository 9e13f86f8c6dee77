"""Refusal of a request that no message could carry, or whose response none could."""

from axon.catalog import QUEUE_MESSAGE_BYTES
from axon.exceptions import RequestError
from axon.jobs import Job
from axon.protocol.sizes import MESSAGE_BYTES, TEXT_BYTES, json_bytes
from axon.protocol.transcript import Transcript

JOB_BYTES = QUEUE_MESSAGE_BYTES // 2
"""Longest job. The record for the database repeats what a job holds, in a message of the same
length, so the answer has the other half."""


def check_queued(job: bytes, *, has_store: bool = False) -> None:
    """Refuse a request whose job, as it goes into the queue, is longer than `JOB_BYTES`.

    Only HTTP carries such requests: a WebSocket message of API Gateway is shorter.

    Parameters
    ----------
    job : bytes
        The job.
    has_store : bool
        The deployment has a payload store, so that no large input is part of the job.

    Raises
    ------
    RequestError
        It says by how much the job is too long.
    """
    if len(job) <= JOB_BYTES:
        return
    if has_store:
        raise RequestError(
            f"The request is too large: {len(job):,} bytes beside a large 'input', and "
            f"{JOB_BYTES:,} at most can be queued. Shorten 'instructions' (the system prompt) and "
            "'tools', or move their text into 'input'.",
            code="request_too_large",
            param="instructions",
            status=413,
        )
    raise RequestError(
        f"The request is too large: {len(job):,} bytes with all that its answer needs, and "
        f"{JOB_BYTES:,} at most can be queued, as this deployment has no store for larger ones "
        "(AXON_PAYLOAD_BUCKET). Shorten 'input'.",
        code="request_too_large",
        param="input",
        status=413,
        hint="Earlier turns need not be sent again, if previous_response_id names the last one.",
    )


def check_size(job: Job, transcript: Transcript) -> None:
    """Refuse a request that leaves its response less than `TEXT_BYTES` for text.

    Each event with the response repeats most of the request: its tools, format and metadata. Long
    instructions are no reason, since those events may be without them, and input is in none.

    Parameters
    ----------
    job : Job
        The request's job.
    transcript : Transcript
        The job's, from its beginning.

    Raises
    ------
    RequestError
        It names the longest of these fields, and by how much they are too long.
    """
    room = transcript.room
    if room is None or room >= TEXT_BYTES:
        return
    repeated = {
        "tools": job.response["tools"],
        "text.format": job.response["text"]["format"],
        "metadata": job.response["metadata"],
    }
    sizes = {name: json_bytes(value) for name, value in repeated.items()}
    param = max(sizes, key=sizes.__getitem__)
    raise RequestError(
        f"'{param}' is too large: {sizes[param]:,} bytes as JSON, {TEXT_BYTES - room:,} too many. "
        f"Events repeat it, together with up to {TEXT_BYTES:,} bytes of text, and a WebSocket "
        f"message has {MESSAGE_BYTES:,} bytes at most. Shorten '{param}', or leave out what this "
        "request does not need.",
        code="request_too_large",
        param=param,
        status=413,
    )
