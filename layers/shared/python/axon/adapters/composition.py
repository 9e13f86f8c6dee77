"""Puts together what several processes use: the event log in Valkey, and who ends responses."""

from collections.abc import Collection

from axon.adapters.aws.aws_json import AwsJsonApi
from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.ecs_scaler import EcsWorkerScaler
from axon.adapters.aws.sqs import SqsHistorySender
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.exceptions import SettingsError
from axon.responses.finisher import ResponseFinisher
from axon.responses.terminator import ResponseTerminator
from axon.scaling import FixedWorkers, WorkerScaler
from axon.settings import EventLogSettings, RespondSettings


def event_log(
    settings: EventLogSettings, *, valkey: Valkey, models: Collection[str] = ()
) -> ValkeyEventLog:
    """Return the event log as the settings say; `models` exist though nobody announced them."""
    return ValkeyEventLog(
        valkey=valkey,
        deadline_s=settings.response_deadline_s,
        retention_s=settings.retention_s,
        resume_window_s=settings.resume_window_s,
        models=models,
    )


def sqs_api(queue_url: str, *, region: str) -> SqsApi:
    """Return a queue's API, signed with the process's credentials."""
    return SqsApi(queue_url=queue_url, region=region, credentials=process_credentials().current)


def terminator(
    settings: EventLogSettings, *, valkey: Valkey, log: ValkeyEventLog, history: SqsApi
) -> ResponseTerminator:
    """Return the service that ends responses from outside a worker."""
    return ResponseTerminator(
        event_log=log,
        finisher=ResponseFinisher(
            history=SqsHistorySender(api=history),
            turns=ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s),
        ),
    )


def workers(settings: RespondSettings, *, valkey: Valkey) -> WorkerScaler:
    """Return the ECS service that the settings name; without one, nobody needs to be woken.

    Raises
    ------
    SettingsError
        Only its cluster is named, or only the service.
    """
    cluster, service = settings.workers_cluster, settings.workers_service
    if cluster is None and service is None:
        return FixedWorkers()
    if cluster is None or service is None:
        raise SettingsError("set both AXON_WORKERS_CLUSTER and AXON_WORKERS_SERVICE, or neither")
    ecs = AwsJsonApi(
        service="ecs",
        target="AmazonEC2ContainerServiceV20141113",
        region=settings.aws_region,
        credentials=process_credentials().current,
    )
    return EcsWorkerScaler(cluster=cluster, service=service, ecs=ecs, valkey=valkey)
