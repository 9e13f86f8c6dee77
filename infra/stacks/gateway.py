"""The stack of the WebSocket API, and of the functions behind it and behind the queues."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from axon.catalog import EVENT_SOURCES, FUNCTIONS, HISTORY, JOBS, SCHEDULES, EventSource
from infra.constructs.functions.catalog_function import CatalogFunction
from infra.constructs.functions.layers import Layers
from infra.constructs.functions.migration import RECOGNIZE_LAYERS, Migration
from infra.constructs.network.websocket_api import WebSocketApi
from infra.constructs.observability.alarms import Alarms
from infra.constructs.security.grants import Grant
from infra.settings.environment import EnvironmentSettings
from infra.stacks.base import EnvironmentStack
from infra.stacks.messaging import MessagingStack
from infra.stacks.platform import Platform

AWAITED = ("migrate", "keys", "models")
"""Functions whose caller waits for the result: they need no alarms."""

BOUNDED = ("write_history",)
"""Functions whose concurrency is bounded, so that a long queue cannot overload the database."""


class GatewayStack(EnvironmentStack):
    """The WebSocket API, the functions of the catalog, and what invokes them."""

    def __init__(self, scope: Construct, id: str, *, platform: Platform) -> None:
        settings, observability = platform.settings, platform.observability
        super().__init__(scope, id, settings=settings)
        self.node.set_context(RECOGNIZE_LAYERS, True)
        self._functions = self._make_functions(platform)
        for made in self._functions.values():
            observability.watch_logs(made.log_group)
        self._migrate(settings)
        self._consume(settings, platform.messaging)
        self._schedule(settings)
        self._api = WebSocketApi(
            self,
            "WebSocket",
            settings=settings,
            functions={name: made.function for name, made in self._functions.items()},
        )
        observability.watch_logs(self._api.log_group)
        self._watch(platform.alarms(self))
        self._add_outputs()

    @property
    def connections(self) -> Grant:
        """The grant to post to clients and to close their connections."""
        return Grant(
            permit=self._api.grant_manage_connections,
            variables={"AXON_CONNECTIONS_ENDPOINT": self._api.connections_endpoint},
        )

    def _make_functions(self, platform: Platform) -> dict[str, CatalogFunction]:
        name = f"axon-{platform.settings.name}"
        layers = Layers(self, "Layers", settings=platform.settings, name=name)
        return {
            name: CatalogFunction(
                self,
                name.title().replace("_", ""),
                name=name,
                definition=definition,
                folder=f"functions/{name}",
                settings=platform.settings,
                vpc=platform.network.vpc,
                security_group=platform.network.groups.functions,
                grants=platform.grants,
                layers=layers,
                variables=_variables(name, platform.settings),
            )
            for name, definition in FUNCTIONS.items()
        }

    def _migrate(self, settings: EnvironmentSettings) -> None:
        others = [made for name, made in self._functions.items() if name != "migrate"]
        Migration(
            self,
            "Migration",
            settings=settings,
            migrate=self._functions["migrate"].function,
            timeout=Duration.seconds(FUNCTIONS["migrate"].timeout_s),
            before=others,
        )

    def _consume(self, settings: EnvironmentSettings, messaging: MessagingStack) -> None:
        queues = {
            HISTORY.name: messaging.history.queue,
            JOBS.dead_letter: messaging.jobs.dead_letters,
        }
        for source in EVENT_SOURCES:
            function = self._functions[source.function].function
            function.add_event_source(_event_source(source, queues[source.queue], settings))

    def _schedule(self, settings: EnvironmentSettings) -> None:
        for schedule in SCHEDULES:
            rule = events.Rule(
                self,
                f"{schedule.function.title()}Schedule",
                rule_name=f"axon-{settings.name}-{schedule.function}",
                description=f"Invokes {schedule.function}.",
                schedule=events.Schedule.rate(Duration.minutes(schedule.minutes)),
            )
            rule.add_target(
                # What one run leaves, the next one does: a run that is late is not made up for.
                targets.LambdaFunction(
                    self._functions[schedule.function].function,
                    retry_attempts=0,
                    max_event_age=Duration.minutes(schedule.minutes),
                )
            )

    def _watch(self, alarms: Alarms) -> None:
        for name, made in self._functions.items():
            if name not in AWAITED:
                made.watch(alarms)
        self._api.watch(alarms)

    def _add_outputs(self) -> None:
        keys, models = (self._functions[name].function for name in ("keys", "models"))
        outputs = {
            "WebSocketUrl": (self._api.url, "websocket_base_url of an OpenAI SDK"),
            "ConnectionsEndpoint": (self._api.connections_endpoint, "Where the relay posts"),
            "KeysFunction": (keys.function_name, "What `axon keys` invokes"),
            "ModelsFunction": (models.function_name, "What `axon models` invokes"),
        }
        if self._api.domain is not None:
            target = self._api.domain.regional_domain_name
            outputs["DomainTarget"] = (target, "What the domain's CNAME record points to")
        for name, (value, description) in outputs.items():
            CfnOutput(self, name, value=value, description=description)


def _variables(name: str, settings: EnvironmentSettings) -> dict[str, str]:
    """Return the environment variables that come with no grant."""
    if name == "expire":
        return {"AXON_RETENTION_DAYS": str(settings.postgres.retention_days)}
    inference = settings.inference
    if name == "models":
        # Operators can swap the deployment's model before its first worker has registered it.
        return {"AXON_MODELS": inference.model_name} | inference.host_variables
    return inference.submission_variables if name == "respond" else {}


def _event_source(
    source: EventSource, queue: sqs.IQueue, settings: EnvironmentSettings
) -> event_sources.SqsEventSource:
    """Return the event source, with a bound on concurrent batches where the database needs it.

    The bound is the event source's `max_concurrency`: what cannot run yet stays in the queue. With
    reserved concurrency Lambda would throttle received batches instead. Each throttle counts as a
    receive, and enough of them move a good record to the dead-letter queue.
    """
    bound = settings.functions.write_history_concurrency if source.function in BOUNDED else None
    return event_sources.SqsEventSource(
        queue,
        batch_size=source.batch_size,
        report_batch_item_failures=True,
        max_concurrency=bound,
    )
