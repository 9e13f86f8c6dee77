"""The jobs' dead letters: a job that failed too often ends in an honest ``response.failed``."""

import os
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from axon.adapters.composition import ender, event_log, sqs_api
from axon.adapters.telemetry import Telemetry
from axon.adapters.valkey import create_valkey
from axon.event_log import Status
from axon.jobs import Job
from axon.lambdas import Event, run
from axon.settings import DeadLetterSettings

LOGGER = Logger(service="dead_letter")
TELEMETRY = Telemetry(service="dead_letter")
SETTINGS = DeadLetterSettings.from_environ(os.environ)
ENDER = ender(
    log=event_log(SETTINGS, valkey=create_valkey(SETTINGS)),
    history=sqs_api(SETTINGS.history_queue_url, region=SETTINGS.aws_region),
)
GAVE_UP = {"code": "server_error", "message": "The request failed repeatedly and was given up."}


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Fail each job's response; a letter that cannot be read is logged and done with."""
    failed = []
    for message in event["Records"]:
        try:
            job = Job.decode(message["body"])
            run(ENDER.end(job.response_id, Status.FAILED, error=GAVE_UP))
        except ValidationError:
            LOGGER.exception("not a job", extra={"body": message["body"][:1000]})
        except Exception:
            LOGGER.exception("could not fail the response")
            failed.append({"itemIdentifier": message["messageId"]})
    TELEMETRY.count("dead_letters", len(event["Records"]) - len(failed))
    return {"batchItemFailures": failed}
