"""`axon dlq`: the dead-letter queues, here or on AWS."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cli.arguments import Commands, add_place, at_least_one
from cli.errors import CommandError
from cli.tables import table

if TYPE_CHECKING:
    from cli.dlq.location import DeadLetterQueues
    from cli.dlq.message import DeadLetter
    from cli.dlq.queue import DeadLetterQueue

QUEUES = ("jobs", "history")
LISTED = 50
HEADS = ("id", "queue", "when (UTC)", "attempts", "tenant", "response", "why")
WIDEST_REASON = 60
NONE = "no dead letters"
NOT_RUN_AGAIN = "a job whose response has ended, as that of a dead letter has, is not run again"


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("dlq", help="list, show, redrive and purge dead letters")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list dead letters; they stay in their queue")
    listing.add_argument("--limit", type=at_least_one, default=LISTED, metavar="N")
    listing.set_defaults(run=show_all)
    showing = actions.add_parser(
        "show", help="show a whole dead letter, with the text of the conversation"
    )
    showing.add_argument("id", metavar="ID", help="as `axon dlq list` shows it")
    showing.set_defaults(run=show)
    redriving = actions.add_parser(
        "redrive",
        help=f"move dead letters back to their queue, to be tried again ({NOT_RUN_AGAIN})",
    )
    redriving.set_defaults(run=redrive)
    purging = actions.add_parser("purge", help="delete dead letters for good")
    purging.add_argument("--yes", action="store_true", help="do not ask")
    purging.set_defaults(run=purge)
    for action in (redriving, purging):
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("id", nargs="?", metavar="ID", help="as `axon dlq list` shows it")
        which.add_argument("--all", action="store_true", help="all that no other command holds")
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="for programs")
    for action in (listing, showing, redriving, purging):
        action.add_argument("--queue", choices=QUEUES, help="default: both")
        add_place(action)


def show_all(arguments: argparse.Namespace) -> int:
    """List the dead letters."""
    letters: list[DeadLetter] = []
    more = 0
    with _opened(arguments) as queues:
        for queue in queues:
            count = queue.count()
            with queue.peek(arguments.limit) as held:
                letters += held
                more += max(0, count - sum(len(letter.receipt_handles) for letter in held))
    if arguments.json:
        summaries = [letter.summary() for letter in letters]
        print(json.dumps({"letters": summaries, "more": more}, indent=2))
        return 0
    print(table(HEADS, [_row(letter) for letter in letters]) if letters else NONE)
    if more:
        print(
            f"about {more} more: above --limit, held by another command, or behind other dead "
            "letters of their conversation"
        )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show one dead letter."""
    from cli.dlq.location import found
    from cli.dlq.message import printable

    with _opened(arguments) as queues, found(queues, arguments.id) as (_, letter):
        content = letter.as_dict()
    if arguments.json:
        print(json.dumps(content, indent=2))
        return 0
    body = content.pop("body")
    width = max(map(len, content))
    for name, value in content.items():
        print(f"{name.ljust(width)}  {_cell(value)}")
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    print(f"\n{printable(text, keep=chr(10))}")
    return 0


def redrive(arguments: argparse.Namespace) -> int:
    """Move dead letters back to the queues that they came from."""
    jobs = _apply(
        arguments,
        lambda queue, letter: queue.redrive(letter),
        done=lambda count, queue: f"{_dead_letters(count)} moved back to {queue.name}",
    )
    if jobs:
        print(f"{NOT_RUN_AGAIN}: clients have been told, and may ask again", file=sys.stderr)
    return 0


def purge(arguments: argparse.Namespace) -> int:
    """Delete dead letters."""
    if not arguments.yes:
        _confirm(arguments)
    _apply(
        arguments,
        lambda queue, letter: queue.delete(letter),
        done=lambda count, queue: f"{_dead_letters(count)} of {queue.name} deleted",
    )
    return 0


def _apply(
    arguments: argparse.Namespace,
    action: "Callable[[DeadLetterQueue, DeadLetter], None]",
    *,
    done: "Callable[[int, DeadLetterQueue], str]",
) -> int:
    """Apply the action to one dead letter or all; return how many jobs it was applied to.

    A failure in the middle still prints how many are done: they are gone from the queue.
    """
    from cli.dlq.location import found

    counts = Counter[str]()
    with _opened(arguments) as queues:
        if not arguments.all:
            with found(queues, arguments.id) as (queue, letter):
                action(queue, letter)
                print(done(1, queue))
            return int(queue.name == "jobs")
        for queue in queues:
            counts[queue.name] = 0
            try:
                with closing(queue.receive_all()) as letters:
                    for letter in letters:
                        action(queue, letter)
                        counts[queue.name] += 1
            finally:
                if counts[queue.name]:
                    print(done(counts[queue.name], queue))
    if not sum(counts.values()):
        print(NONE)
    return counts["jobs"]


def _confirm(arguments: argparse.Namespace) -> None:
    """Ask the operator; raise CommandError unless the answer is yes."""
    from cli.dlq.location import found

    with _opened(arguments) as queues:
        if arguments.all:
            what = " and ".join(
                f"all dead letters of {queue.name} (about {queue.count()})" for queue in queues
            )
        else:
            with found(queues, arguments.id) as (_, letter):
                what = f"the dead letter {letter.message_id} of {letter.queue}"
    print(f"Delete {what} for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was deleted; to delete without a question, add --yes", code=1)


@contextmanager
def _opened(arguments: argparse.Namespace) -> "Iterator[list[DeadLetterQueue]]":
    with _located(arguments).opened(arguments.queue) as queues:
        yield queues


def _located(arguments: argparse.Namespace) -> "DeadLetterQueues":
    from cli.dlq.location import DeadLetterQueues

    if arguments.env:
        return DeadLetterQueues.on_aws(arguments.env, region=arguments.region)
    if arguments.region:
        raise CommandError("--region needs --env")
    return DeadLetterQueues.local(arguments.data)


def _row(letter: "DeadLetter") -> tuple[object, ...]:
    reason = letter.reason
    if len(reason) > WIDEST_REASON:
        reason = f"{reason[: WIDEST_REASON - 3]}..."
    when = f"{letter.moved_at:%Y-%m-%d %H:%M}"
    cells = (letter.short_id, letter.queue, when, letter.receive_count)
    return *cells, _cell(letter.tenant_id), _cell(letter.response_id), _cell(reason)


def _cell(value: object) -> str:
    from cli.dlq.message import printable

    return "-" if value is None else printable(str(value))


def _dead_letters(count: int) -> str:
    return f"{count} dead letter" if count == 1 else f"{count} dead letters"
