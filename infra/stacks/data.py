"""The stack of the data stores: the key, the buckets, Valkey, PostgreSQL, and their alarms."""

from aws_cdk import CfnOutput, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from axon.catalog import Resource
from infra.constructs.data.alarms import watch_database, watch_valkey
from infra.constructs.data.buckets import Buckets
from infra.constructs.data.database import Database
from infra.constructs.data.payload_access import payload_grants
from infra.constructs.data.valkey_cache import ValkeyCache
from infra.constructs.security.grants import Grant, Grants
from infra.settings.environment import EnvironmentSettings
from infra.stacks.base import EnvironmentStack
from infra.stacks.foundation import Foundation


class DataStack(EnvironmentStack):
    """The resources whose loss would lose data.

    Attributes
    ----------
    key
        Encrypts the database, the cache, the queues, the secrets and the models.
    models
        The bucket that workers load models from.
    payloads
        The bucket of what no queue can carry.
    access_logs
        The bucket that other buckets and load balancers log to.
    valkey, postgres
        Valkey and PostgreSQL.
    """

    def __init__(self, scope: Construct, id: str, *, foundation: Foundation) -> None:
        settings, network = foundation.settings, foundation.network
        super().__init__(scope, id, settings=settings)
        self.key = self._make_key(settings)
        buckets = Buckets(self, "Buckets", settings=settings, key=self.key)
        self.models, self.access_logs = buckets.models, buckets.access_logs
        self.payloads = buckets.payloads
        self.valkey = ValkeyCache(
            self,
            "Valkey",
            settings=settings,
            vpc=network.vpc,
            security_group=network.groups.valkey,
            key=self.key,
        )
        self.postgres = Database(
            self,
            "Postgres",
            settings=settings,
            vpc=network.vpc,
            groups=network.groups,
            key=self.key,
        )
        alarms = foundation.alarms(self)
        watch_valkey(alarms, self.valkey, settings=settings)
        watch_database(alarms, self.postgres, settings=settings)
        CfnOutput(
            self,
            "ModelsBucket",
            value=self.models.bucket_name,
            description="Put a model here in a folder of its own; models://<folder> names it",
        )

    @property
    def grants(self) -> Grants:
        """Grants on Valkey, PostgreSQL and the payloads."""
        valkey, postgres = self.valkey, self.postgres
        return {
            **payload_grants(self.payloads, self.key),
            Resource.VALKEY: Grant(permit=valkey.grant_connect, variables=valkey.variables),
            Resource.POSTGRES: Grant(permit=postgres.grant_connect, variables=postgres.variables),
            Resource.POSTGRES_OWNER: Grant(
                permit=postgres.grant_owner, variables=postgres.owner_variables
            ),
        }

    def _make_key(self, settings: EnvironmentSettings) -> kms.Key:
        return kms.Key(
            self,
            "Key",
            alias=f"axon-{settings.name}",
            description=f"Axon {settings.name}: data at rest",
            enable_key_rotation=True,
            pending_window=Duration.days(30 if settings.protect else 7),
            removal_policy=RemovalPolicy.RETAIN if settings.protect else RemovalPolicy.DESTROY,
        )
