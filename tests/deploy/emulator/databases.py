"""ElastiCache and RDS resources whose endpoints are real: the doors to the real servers.

ministack starts Docker containers for them, or makes up addresses where there is no Docker.
"""

import json
import socket
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from tests.deploy.emulator.ministack import elasticache, provisioners, rds, secrets
from tests.deploy.emulator.plan import Plan

Created = tuple[str, dict[str, str]]


def register(plan: Plan) -> None:
    """Replace ministack's handlers by ours, which call them."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::ElastiCache::ReplicationGroup"] |= {"create": _ReplicationGroups(plan).create}
    users = _Users(plan, handlers["AWS::ElastiCache::User"])
    handlers["AWS::ElastiCache::User"] |= {"create": users.create, "delete": users.delete}
    instances = _Instances(plan, handlers["AWS::RDS::DBInstance"])
    handlers["AWS::RDS::DBInstance"] |= {"create": instances.create, "delete": instances.delete}


class _ReplicationGroups:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def create(self, logical_id: str, properties: Mapping[str, Any], stack: str) -> Created:
        """Create it in ministack, then report its real address."""
        ref, _ = provisioners._ec_rg_create(logical_id, properties, stack)
        endpoint = {"Address": self._plan.data_host, "Port": int(properties["Port"])}
        for node_group in elasticache._replication_groups[ref]["NodeGroups"]:
            node_group["PrimaryEndpoint"] = node_group["ReaderEndpoint"] = endpoint
        return ref, provisioners._ec_rg_attrs(ref)


class _Users:
    """ElastiCache's users are users of the real Valkey, with the same access string.

    Any password does there: the door has checked the IAM token before.
    """

    def __init__(self, plan: Plan, handlers: Mapping[str, Any]) -> None:
        self._port = plan.valkey_port
        self._create, self._delete = handlers["create"], handlers["delete"]

    def create(self, logical_id: str, properties: Mapping[str, Any], stack: str) -> Created:
        created: Created = self._create(logical_id, properties, stack)
        rules = str(properties["AccessString"])
        # ministack puts it into its XML as it is.
        elasticache._users[created[0]]["AccessString"] = escape(rules)
        self._acl("SETUSER", str(properties["UserName"]), "reset", "nopass", *rules.split())
        return created

    def delete(self, ref: str, properties: Mapping[str, Any]) -> None:
        self._acl("DELUSER", str(properties["UserName"]))
        self._delete(ref, properties)

    def _acl(self, *words: str) -> None:
        command = ["ACL", *words]
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            connection.sendall(f"*{len(command)}\r\n{parts}".encode())
            answer = connection.recv(4096)
        if answer.startswith(b"-"):
            raise ValueError(f"Valkey refused {words[0]}: {answer.decode()}")


class _Instances:
    """The instance's password, of which AWS makes and rotates a secret, is that of the real server.

    ministack leaves `ManageMasterUserPassword` out.
    """

    def __init__(self, plan: Plan, handlers: Mapping[str, Any]) -> None:
        self._plan = plan
        self._create, self._delete = handlers["create"], handlers["delete"]

    def create(self, logical_id: str, properties: Mapping[str, Any], stack: str) -> Created:
        ref, attributes = self._create(logical_id, properties, stack)
        instance = rds._instances[ref]
        instance["Endpoint"]["Address"] = self._plan.data_host
        attributes |= {"Endpoint.Address": self._plan.data_host}
        if provisioners._cfn_bool(properties.get("ManageMasterUserPassword", False)):
            attributes["MasterUserSecret.SecretArn"] = self._make_secret(instance)
        return ref, attributes

    def delete(self, ref: str, properties: Mapping[str, Any]) -> None:
        secrets.delete_secret_in_process(_secret_name(rds._instances[ref]))
        self._delete(ref, properties)

    def _make_secret(self, instance: Mapping[str, Any]) -> str:
        content = {"username": instance["MasterUsername"], "password": self._plan.owner_password}
        name = _secret_name(instance)
        secrets.create_secret_in_process(name, json.dumps(content))
        arn: str = secrets._secrets[name]["ARN"]
        return arn


def _secret_name(instance: Mapping[str, Any]) -> str:
    return f"rds!{instance['DbiResourceId'].lower()}"
