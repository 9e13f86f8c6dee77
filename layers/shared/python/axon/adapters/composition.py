"""Puts together what several processes use: the event log in Valkey, and who ends responses."""

from functools import cache

from axon.adapters.credentials import RotatingCredentials
from axon.adapters.sqs import SqsHistorySender
from axon.adapters.sqs_api import SqsApi
from axon.adapters.valkey import Valkey
from axon.adapters.valkey_event_log import ValkeyEventLog
from axon.responses import ResponseEnder
from axon.settings import EventLogSettings

credentials = cache(RotatingCredentials.from_session)
"""One set of AWS credentials a process, rotated as it serves."""


def event_log(settings: EventLogSettings, *, valkey: Valkey) -> ValkeyEventLog:
    """Return the event log as the settings say."""
    return ValkeyEventLog(
        valkey=valkey,
        deadline_s=settings.response_deadline_s,
        retention_s=settings.retention_s,
    )


def sqs_api(queue_url: str, *, region: str) -> SqsApi:
    """Return a queue's API, signed with the process's credentials."""
    return SqsApi(queue_url=queue_url, region=region, credentials=credentials().current)


def ender(*, log: ValkeyEventLog, history: SqsApi) -> ResponseEnder:
    """Return the service that ends responses from outside a worker."""
    return ResponseEnder(event_log=log, history=SqsHistorySender(api=history))
