"""`axon dlq`: what was tried in vain, here or on AWS, and what the operator does about it."""

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
    from cli.dlq.location import Place
    from cli.dlq.message import DeadLetter
    from cli.dlq.queue import DeadLetterQueue

QUEUES = ("jobs", "history")
LISTED = 50
HEADS = ("id", "queue", "when (UTC)", "attempts", "tenant", "response", "why")
WIDEST_WHY = 60
NONE = "no dead letters"
NOT_RUN_AGAIN = "a job whose response has ended, as that of a dead letter has, is not run again"


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("dlq", help="list, show, redrive and purge dead letters")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list letters; they stay where they are")
    listing.add_argument("--limit", type=at_least_one, default=LISTED, metavar="N")
    listing.set_defaults(run=show_all)
    showing = actions.add_parser(
        "show", help="show a whole letter, with what was said in the conversation"
    )
    showing.add_argument("id", metavar="ID", help="as `axon dlq list` shows it")
    showing.set_defaults(run=show)
    redriving = actions.add_parser(
        "redrive",
        help=f"send letters back to be tried again ({NOT_RUN_AGAIN})",
    )
    redriving.set_defaults(run=redrive)
    purging = actions.add_parser("purge", help="delete letters for good")
    purging.add_argument("--yes", action="store_true", help="do not ask")
    purging.set_defaults(run=purge)
    for action in (redriving, purging):
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("id", nargs="?", metavar="ID", help="as `axon dlq list` shows it")
        which.add_argument("--all", action="store_true", help="all that nobody else holds")
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="for programs")
    for action in (listing, showing, redriving, purging):
        action.add_argument("--queue", choices=QUEUES, help="default: both")
        add_place(action)


def show_all(arguments: argparse.Namespace) -> int:
    """List the letters."""
    letters: list[DeadLetter] = []
    more = 0
    with _boxes(arguments) as boxes:
        for box in boxes:
            there = box.count()
            with box.hold(arguments.limit) as held:
                letters += held
                more += max(0, there - sum(len(letter.receipts) for letter in held))
    if arguments.json:
        summaries = [letter.summary() for letter in letters]
        print(json.dumps({"letters": summaries, "more": more}, indent=2))
        return 0
    print(table(HEADS, [_row(letter) for letter in letters]) if letters else NONE)
    if more:
        print(
            f"about {more} more, above --limit, held by another command, or behind other letters "
            "of their conversation"
        )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show one letter."""
    from cli.dlq.location import found
    from cli.dlq.message import printable

    with _boxes(arguments) as boxes, found(boxes, arguments.id) as (_, letter):
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
    """Send letters back to where they were tried in vain."""
    jobs = _serve(
        arguments,
        lambda box, letter: box.send_back(letter),
        done=lambda count, box: f"{_letters(count)} went back to {box.name}",
    )
    if jobs:
        print(f"{NOT_RUN_AGAIN}: clients have been told, and may ask again", file=sys.stderr)
    return 0


def purge(arguments: argparse.Namespace) -> int:
    """Delete letters."""
    if not arguments.yes:
        _confirm(arguments)
    _serve(
        arguments,
        lambda box, letter: box.delete(letter),
        done=lambda count, box: f"{_letters(count)} of {box.name} deleted",
    )
    return 0


def _serve(
    arguments: argparse.Namespace,
    serve: "Callable[[DeadLetterQueue, DeadLetter], None]",
    *,
    done: "Callable[[int, DeadLetterQueue], str]",
) -> int:
    """Serve the letter, or all; say how many even if not all could be. Return how many jobs."""
    from cli.dlq.location import found

    counts = Counter[str]()
    with _boxes(arguments) as boxes:
        if not arguments.all:
            with found(boxes, arguments.id) as (box, letter):
                serve(box, letter)
                print(done(1, box))
            return int(box.name == "jobs")
        for box in boxes:
            counts[box.name] = 0
            try:
                with closing(box.each()) as letters:
                    for letter in letters:
                        serve(box, letter)
                        counts[box.name] += 1
            finally:
                if counts[box.name]:
                    print(done(counts[box.name], box))
    if not sum(counts.values()):
        print(NONE)
    return counts["jobs"]


def _confirm(arguments: argparse.Namespace) -> None:
    """Ask; CommandError unless the answer is yes."""
    from cli.dlq.location import found

    with _boxes(arguments) as boxes:
        if arguments.all:
            what = " and ".join(f"all letters of {box.name}, about {box.count()}," for box in boxes)
        else:
            with found(boxes, arguments.id) as (_, letter):
                what = f"the letter {letter.id} of {letter.queue}"
    print(f"Delete {what} for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was deleted; without a question: --yes", code=1)


@contextmanager
def _boxes(arguments: argparse.Namespace) -> "Iterator[list[DeadLetterQueue]]":
    with _place(arguments).boxes(arguments.queue) as boxes:
        yield boxes


def _place(arguments: argparse.Namespace) -> "Place":
    from cli.dlq.location import Place

    if arguments.env:
        return Place.on_aws(arguments.env, region=arguments.region)
    if arguments.region:
        raise CommandError("--region needs --env")
    return Place.local(arguments.data)


def _row(letter: "DeadLetter") -> tuple[object, ...]:
    why = letter.why if len(letter.why) <= WIDEST_WHY else f"{letter.why[: WIDEST_WHY - 3]}..."
    when = f"{letter.when:%Y-%m-%d %H:%M}"
    cells = (letter.short_id, letter.queue, when, letter.attempts)
    return *cells, _cell(letter.tenant_id), _cell(letter.response_id), _cell(why)


def _cell(value: object) -> str:
    from cli.dlq.message import printable

    return "-" if value is None else printable(str(value))


def _letters(count: int) -> str:
    return f"{count} letter" if count == 1 else f"{count} letters"
