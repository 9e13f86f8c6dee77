"""`axon keys`: API keys of a running Axon, here or on AWS."""

import argparse
import sys
from typing import Any

from cli.arguments import Commands, add_place
from cli.tables import table


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("keys", help="create, list and revoke API keys")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="make a key and show it, this once")
    creating.add_argument("name", help="what it is for")
    creating.add_argument("--tenant", help="whose it is (default: local, on AWS: default)")
    creating.set_defaults(run=create)
    listing = actions.add_parser("list", help="list keys; the keys themselves are not kept")
    listing.set_defaults(run=show)
    revoking = actions.add_parser(
        "revoke", help="make a key useless at once; its open connections are closed within 5 s"
    )
    revoking.add_argument("id", help="the key's id, as `axon keys list` shows it")
    revoking.set_defaults(run=revoke)
    retaining = actions.add_parser(
        "retention", help="set for how long a tenant's conversations are kept after their last use"
    )
    retaining.add_argument("tenant", help="whose they are")
    retaining.add_argument("days", type=_days, help="a number of days, `forever` or `default`")
    retaining.set_defaults(run=retain)
    for action in (creating, listing, revoking, retaining):
        add_place(action)


def create(arguments: argparse.Namespace) -> int:
    """Make a key; print its secret on standard output, all else on standard error."""
    tenant_id = arguments.tenant or ("default" if arguments.env else "local")
    made = _ask(arguments, action="create", tenant_id=tenant_id, name=arguments.name)
    print(
        f"{made['key']['key_id']} for tenant {tenant_id}; keep the key, it is not shown again:",
        file=sys.stderr,
    )
    print(made["secret"])
    return 0


def show(arguments: argparse.Namespace) -> int:
    """List the keys."""
    rows = [
        (
            key["key_id"],
            key["tenant_id"],
            key["name"],
            f"...{key['hint']}",
            _when(key["created_at"]),
            "revoked" if key["revoked_at"] else "valid",
        )
        for key in _ask(arguments, action="list")["keys"]
    ]
    print(table(("id", "tenant", "name", "key", "created", "state"), rows))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a key; fail if its open connections cannot be closed now."""
    answer = _ask(arguments, action="revoke", key_id=arguments.id)
    print(f"{answer['revoked']} is revoked")
    if left_open := answer.get("open_connections"):
        print(f"axon: {left_open}", file=sys.stderr)
        return 1
    return 0


def retain(arguments: argparse.Namespace) -> int:
    """Set a tenant's retention."""
    days = arguments.days
    _ask(arguments, action="set_retention", tenant_id=arguments.tenant, days=days)
    kept = {None: "for the default time", 0: "for ever"}.get(days, f"for {days} days")
    print(f"conversations of {arguments.tenant} are kept {kept} after their last use")
    return 0


def _days(text: str) -> int | None:
    named = {"forever": 0, "default": None}
    if text in named:
        return named[text]
    days = int(text) if text.isdecimal() else 0
    if days < 1:
        raise argparse.ArgumentTypeError("give a number of days, `forever` or `default`")
    return days


def _ask(arguments: argparse.Namespace, **event: object) -> dict[str, Any]:
    from cli.functions import Function

    return Function.chosen("keys", arguments).ask(**event)


def _when(moment: str) -> str:
    """Return an ISO 8601 time to the minute."""
    return moment[:16].replace("T", " ")
