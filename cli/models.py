"""`axon models`: which models a running Axon serves, here or on AWS."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from cli.arguments import Commands, add_place, seconds
from cli.errors import CommandError
from cli.tables import table

HEADS = ("model", "state", "version", "engine", "uri")
NOT_NOTIFIED = "the workers could not be notified; they find out within 30 s"


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("models", help="list, load, unload and swap models")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list models, and how far workers are with them")
    listing.set_defaults(run=show)
    loading = actions.add_parser("load", help="start serving a model")
    swapping = actions.add_parser("swap", help="serve a model with other settings")
    unloading = actions.add_parser("unload", help="stop serving a model")
    for action in (loading, swapping, unloading):
        action.add_argument("name", help="its name in requests")
        action.set_defaults(run=change, action=action.prog.split()[-1])
    for action in (loading, swapping):
        _add_settings(action)
    for action in (loading, swapping, unloading):
        action.add_argument("--no-wait", action="store_true", help="do not wait for the workers")
        action.add_argument(
            "--timeout", type=seconds, default=600.0, metavar="S", help="how long (default: 600)"
        )
    for action in (listing, loading, swapping, unloading):
        add_place(action)


def _add_settings(action: argparse.ArgumentParser) -> None:
    by = action.add_mutually_exclusive_group(required=True)
    by.add_argument("--engine", help="echo, smollm2, vllm or openai")
    by.add_argument(
        "--adapter-of", metavar="MODEL", help="a LoRA adapter of a model that is served"
    )
    action.add_argument("--uri", help="the model's folder, here or in S3 (the setting model_uri)")
    action.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of the engine, as max_model_len=4096: docs/models.md",
    )
    action.add_argument(
        "--in-place", action="store_true", help="end the old one first: both do not fit"
    )


def show(arguments: argparse.Namespace) -> int:
    """List the models, then what failed."""
    from cli.dlq.message import printable
    from cli.functions import Function

    models = Function.chosen("models", arguments).ask(action="list")["models"]
    rows = [tuple(printable(str(cell)) for cell in _row(model)) for model in models]
    print(table(HEADS, rows))
    for model in models:
        for line in _failures(model):
            print(printable(line))
    return 0


def change(arguments: argparse.Namespace) -> int:
    """Load, swap or unload a model; then wait until every worker has done so."""
    from cli.functions import Function
    from cli.model_progress import follow

    function = Function.chosen("models", arguments)
    event: dict[str, Any] = {"action": arguments.action, "name": arguments.name}
    if arguments.action != "unload":
        event |= {"settings": _settings(arguments), "in_place": arguments.in_place}
    changed = function.ask(**event)
    if not changed["told"]:
        print(NOT_NOTIFIED, file=sys.stderr)
    # Where no worker runs there is nothing to wait for, and more to say.
    if arguments.no_wait and changed["workers"]:
        print(f"{arguments.name} has version {changed['model']['version']}")
        return 0
    print(follow(function, changed, timeout_s=arguments.timeout))
    return 0


def setting(text: str) -> tuple[str, object]:
    """Parse NAME=VALUE; the value is JSON, or else a string."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=_no_number)
    except ValueError:
        return name, value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    options = {
        "engine": arguments.engine,
        "adapter_of": arguments.adapter_of,
        "model_uri": arguments.uri,
    }
    given = [(name, value) for name, value in options.items() if value is not None]
    settings: dict[str, object] = {}
    for name, value in (*given, *arguments.set):
        if name in settings:
            raise CommandError(f"{name} is given twice")
        settings[name] = value
    return settings


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    wanted = model["wanted"] or {}
    uri = wanted.get("model_uri") or wanted.get("upstream_url") or "-"
    base = wanted.get("adapter_of")
    engine = f"adapter of {base}" if base else wanted.get("engine", "-")
    return model["name"], _state(model), model["version"], engine, uri


def _state(model: dict[str, Any]) -> str:
    states = {each["state"] for each in model["states"].values()}
    if model["version"] and model["wanted"] is None:
        return "unloading" if states else "unloaded"
    if model["serving"]:
        return f"serving {model['serving']}/{model['workers']}"
    return next((state for state in ("loading", "failed") if state in states), "wanted")


def _failures(model: dict[str, Any]) -> Iterator[str]:
    for worker_id, each in model["states"].items():
        if each["state"] == "failed":
            version = each["version"]
            yield f"{worker_id}: {model['name']} (version {version}) failed: {each['reason']}"
