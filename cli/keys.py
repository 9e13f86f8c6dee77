"""`axon keys`: API keys of a running Axon."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cli.arguments import Commands, add_data
from cli.endpoints import Endpoints
from cli.errors import CommandError
from cli.tables import table

if TYPE_CHECKING:
    from axon.tenants import ApiKeys

T = TypeVar("T")


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("keys", help="create, list and revoke API keys")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="make a key and show it, this once")
    creating.add_argument("name", help="what it is for")
    creating.add_argument("--tenant", default="local", help="whose it is (default: local)")
    creating.set_defaults(run=create)
    listing = actions.add_parser("list", help="list keys; the keys themselves are not kept")
    listing.set_defaults(run=show)
    revoking = actions.add_parser("revoke", help="make a key useless at once")
    revoking.add_argument("id", help="the key's id, as `axon keys list` shows it")
    revoking.set_defaults(run=revoke)
    for action in (creating, listing, revoking):
        add_data(action)


def create(arguments: argparse.Namespace) -> int:
    """Make a key: its secret on standard output, the rest on standard error."""
    key, secret = _with_keys(
        arguments.data,
        lambda keys: keys.create(tenant_id=arguments.tenant, name=arguments.name),
    )
    print(
        f"{key.key_id} for tenant {key.tenant_id}; keep the key, it is not shown again:",
        file=sys.stderr,
    )
    print(secret)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """List the keys."""
    found = _with_keys(arguments.data, lambda keys: keys.list())
    rows = [
        (
            key.key_id,
            key.tenant_id,
            key.name,
            f"...{key.hint}",
            _when(key.created_at),
            "revoked" if key.revoked_at else "valid",
        )
        for key in found
    ]
    print(table(("id", "tenant", "name", "key", "created", "state"), rows))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a key."""
    if not _with_keys(arguments.data, lambda keys: keys.revoke(arguments.id)):
        raise CommandError(f"there is no key {arguments.id}", code=1)
    print(f"{arguments.id} is revoked")
    return 0


def _with_keys(data: Path, use: Callable[["ApiKeys"], Awaitable[T]]) -> T:
    """Run `use` with the keys of the Axon that runs on the data folder."""
    import asyncio

    from axon.exceptions import AxonError

    endpoints = Endpoints.read(data)
    try:
        return asyncio.run(_use(endpoints, use))
    except AxonError as error:
        raise CommandError(str(error), code=1) from error


async def _use(endpoints: Endpoints, use: Callable[["ApiKeys"], Awaitable[T]]) -> T:
    from axon.adapters.postgres import create_pool
    from axon.adapters.postgres_stores import PostgresApiKeyStore
    from axon.adapters.valkey import Valkey
    from axon.adapters.valkey_caches import ValkeyIdentityCache
    from axon.tenants import ApiKeys

    pool = create_pool(endpoints.postgres_dsn, max_size=1)
    valkey = Valkey(endpoints.valkey_url)
    try:
        cache = ValkeyIdentityCache(valkey=valkey, ttl_s=60)
        return await use(ApiKeys(store=PostgresApiKeyStore(pool=pool), cache=cache))
    finally:
        await valkey.close()
        await pool.close()


def _when(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""
