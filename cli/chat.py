"""`axon chat`: talk to a running Axon in the terminal."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli.arguments import Commands, add_data
from cli.endpoints import Endpoints
from cli.errors import CommandError
from cli.extras import extra

if TYPE_CHECKING:
    from cli.http_conversation import HttpConversation


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "chat", help="talk to a running Axon; each line of the input is a turn"
    )
    parser.add_argument("--url", help="base URL (default: of the Axon that runs on --data)")
    parser.add_argument("--model", help="default: the one it serves")
    parser.add_argument("--key", help="API key (default: the local one)")
    parser.add_argument(
        "--api",
        choices=("responses", "chat", "messages"),
        help="ask over HTTP, with this API (default: the Responses API over a WebSocket)",
    )
    parser.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        default=sys.stderr.isatty(),
        help="print tokens, time to first token and tokens/s (default: on a terminal)",
    )
    add_data(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer line by line; return 1 when an answer failed and the input is not a terminal."""
    url, model, key = target(arguments)
    with extra("chat"):
        from cli.conversation import Conversation, TurnError

        kind: type[Conversation | HttpConversation] = Conversation
        if arguments.api:
            from cli.http_conversation import CONVERSATIONS

            kind = CONVERSATIONS[arguments.api]

    failed = False
    with kind(url=url, model=model, key=key) as conversation:
        try:
            for line in lines():
                try:
                    figures = conversation.turn(line, sys.stdout)
                    if arguments.figures:
                        print(f"[{figures}]", file=sys.stderr)
                except TurnError as error:
                    failed = True
                    print(f"axon: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print()
            return 0
    return int(failed and not sys.stdin.isatty())


def target(arguments: argparse.Namespace) -> tuple[str, str, str]:
    """Return base URL, model and key; what is not given comes from the Axon on the data folder."""
    given = (arguments.url, arguments.model, arguments.key)
    if all(given):
        return given
    if arguments.url:
        raise CommandError("--url needs --model and --key")
    running = Endpoints.read(arguments.data)
    return running.base_url, arguments.model or running.model, arguments.key or running.api_key


def lines() -> Iterator[str]:
    """Yield the lines of the input, typed or piped, without empty ones."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    import readline  # noqa: F401 - gives input() line editing and history

    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return
        if line:
            yield line
