"""``python -m worker``: one engine, and the consumer that feeds it.

``python -m worker serve``: the same engine behind SageMaker's HTTP interface instead. SageMaker
runs a container with this argument (`worker.sagemaker.http`).
"""

import logging
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import uvloop

from axon.exceptions import PermanentRefusalError, SettingsError
from axon.process import configure_logging, settle_garbage_collection, stop_on_signals
from axon.settings import EndpointSettings, WorkerSettings
from worker.engines.protocol import EngineDeadError
from worker.exit_guard import CLOSE_LIMIT_S, exit_within

ENGINE_DIED = 70
"""Exit status (EX_SOFTWARE) that tells a dead engine from other failures."""
QUEUE_REFUSED = 78
"""Exit status (EX_CONFIG) for a jobs queue that refuses this worker."""


async def consume(settings: WorkerSettings) -> None:
    """Work jobs off until SIGTERM or SIGINT."""
    from worker.app import serve

    agent_uri = os.environ.get("ECS_AGENT_URI") if settings.task_protection else None
    await serve(
        settings,
        stop=stop_on_signals(),
        agent_uri=agent_uri,
        started=settle_garbage_collection,
        closing=partial(exit_within, CLOSE_LIMIT_S, status=ENGINE_DIED),
    )


async def answer(settings: EndpointSettings) -> None:
    """Answer invocations until SIGTERM or SIGINT."""
    from worker.sagemaker.app import serve

    await serve(settings, stop=stop_on_signals())


def configured(arguments: Sequence[str], environ: Mapping[str, str]) -> Coroutine[Any, Any, None]:
    """Return what the arguments ask for, with logging set up.

    Raises
    ------
    SettingsError
        An unknown argument, or wrong settings.
    """
    match arguments:
        case []:
            worker = WorkerSettings.from_environ(environ)
            configure_logging(worker)
            return consume(worker)
        case ["serve"]:
            endpoint = EndpointSettings.from_environ(environ)
            configure_logging(endpoint)
            return answer(endpoint)
    raise SettingsError(
        f"unknown arguments {' '.join(arguments)!r}: use none, or 'serve' for a SageMaker endpoint"
    )


if __name__ == "__main__":
    try:
        main = configured(sys.argv[1:], os.environ)
        uvloop.run(main)
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    except PermanentRefusalError as error:
        logging.getLogger("worker").critical(
            "the jobs queue refuses this worker: %s. Check AXON_JOBS_QUEUE_URL, and that the "
            "worker's role may call sqs:ReceiveMessage on it.",
            error,
        )
        sys.exit(QUEUE_REFUSED)
    except EngineDeadError as error:
        logging.getLogger("worker").critical("the engine died: %s", error)
        sys.exit(ENGINE_DIED)
