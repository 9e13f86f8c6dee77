"""The stacks that the gateway, the relays and the workers run on."""

from dataclasses import dataclass
from functools import partial
from typing import Self

from axon.catalog import Resource
from infra.constructs.security.grants import Grant, Grants
from infra.constructs.tasks.cluster import grant_start
from infra.constructs.tasks.workers import worker_names
from infra.stacks.data import DataStack
from infra.stacks.foundation import Foundation
from infra.stacks.messaging import MessagingStack


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform(Foundation):
    """The foundation, the data stores and the queues: given to every stack that runs code."""

    data: DataStack
    messaging: MessagingStack

    @classmethod
    def on(cls, foundation: Foundation, *, data: DataStack, messaging: MessagingStack) -> Self:
        """Return the platform of `foundation` with the stacks that were built on it."""
        return cls(
            settings=foundation.settings,
            network=foundation.network,
            observability=foundation.observability,
            data=data,
            messaging=messaging,
        )

    @property
    def grants(self) -> Grants:
        """Grants on everything but `Resource.CONNECTIONS`, which the gateway adds later."""
        return {**self.data.grants, **self.messaging.grants, Resource.START_WORKERS: self._start()}

    def _start(self) -> Grant:
        # Named, not referred to: the workers' stack is deployed after the stacks that use this
        # grant, so a reference would make the two depend on each other.
        names = worker_names(self.settings)
        return Grant(
            permit=partial(grant_start, names=names, stack=self.messaging),
            variables={
                "AXON_WORKERS_CLUSTER": names.cluster,
                "AXON_WORKERS_SERVICE": names.service,
            },
        )
