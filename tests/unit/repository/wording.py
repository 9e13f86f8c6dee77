"""Wording rules for docstrings, comments and the names of tests, and how violations are found.

The rules keep out phrases that made earlier versions of this code hard to read. CONTRIBUTING.md has
the rules in words, docs/glossary.md the vocabulary.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

OPENINGS = (
    "What",
    "Whether",
    "How",
    "Where",
    "So",
    "Who",
    "Whose",
    "Of",
    "Which",
    "Nothing",
    "Nobody",
    "Have",
    "Be",
    "Let",
)
"""First words of a docstring that make a riddle of it: say what the code does or is."""

PHRASES: Mapping[str, str] = {
    r"insist\w*": "say retry",
    r"hears?|heard of|unheard": "say receives, or connected",
    r"deaf": "say disconnected",
    r"so long|so many|so often": "name the limit: at most 5 s, up to 3 times",
    r"(?:is|are|was|be) told(?! apart)|tells? of": "say notified, receives, or gets an event",
    r"what becomes of|became of|become of|whatever becomes": "say outcome, or ends as",
    r"in vain": "say without effect, or fails",
    r"in good order": "say cleanly, or by shutdown",
    r"former life": "say earlier process",
    r"worth while|worth one": "state the condition",
    r"whoever": "name who it is",
    r"(?:has|have) got": "say has",
    r"strike out": "say remove",
    r"(?:is|are) there\b(?=[.,;:)]|$)": "say exists, is alive, or is registered",
    r"neighbours?": "say peer",
    r"letter box(?:es)?": "say dead-letter queue",
    r"dead letter's": "say of a dead letter",
    r"by turns": "say alternately",
    r"lest": "say so that ... not",
    r"nevertheless": "say but, or still",
    r"befall\w*": "say happens to",
    r"brings? about": "say causes",
    r"amid": "say between, or inside",
    r"thereof|therein": "say of it, in it",
    r"anew": "say again",
    r"the like": "name the others",
    r"as long as it can": "name the limit",
    r"comes? of it": "say results",
    r"goes on(?! with)": "say continues",
    r"puts? together": "say builds, or joins",
    r"takes? apart": "say parses, or shuts down",
    r"a while": "name the time",
    r"at once twice": "say twice at the same time",
}
"""Phrases that this code does not use, each with the words to use instead."""

NAMELESS = frozenset(
    re.findall(
        r"\w+",
        "a an the it its they them their he she this that these those there here what who whoever "
        "whatever which when where whether how why nothing nobody none neither so",
    )
)
"""First words of a test's name that name no subject: begin with the thing that is tested."""

FEWEST_WORDS = 3
"""A subject and a behaviour need this many words."""

_PHRASE = re.compile(
    r"\b(?:" + "|".join(f"(?P<p{i}>{phrase})" for i, phrase in enumerate(PHRASES)) + r")\b",
    re.IGNORECASE,
)
_ADVICE = list(PHRASES.values())
_OPENING = re.compile(rf"({'|'.join(OPENINGS)})\b")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One violation of a rule, in a file that the finder does not know.

    Parameters
    ----------
    line : int
        Its line.
    text : str
        What is wrong and what to write instead.
    """

    line: int
    text: str


def findings(source: str) -> list[Finding]:
    """Return the violations in the docstrings and comments of a module, by line."""
    return sorted([*_in_docstrings(source), *_in_comments(source)])


def script_findings(source: str) -> list[Finding]:
    """Return the violations in the comments of a Lua or SQL script, by line.

    A comment lasts from two hyphens to the end of the line; our scripts have none inside a string.
    """
    return [
        finding
        for number, line in enumerate(source.splitlines(), 1)
        for finding in _phrases(number, line.partition("--")[2])
    ]


def name_findings(source: str) -> list[Finding]:
    """Return the tests of a module whose name lacks a subject or a behaviour.

    Methods of a test class are left out: the class names their subject.
    """
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [
        (node.lineno, node.name) for node in ast.parse(source).body if isinstance(node, functions)
    ]
    return [
        Finding(line, f"{name}: {fault}")
        for line, name in names
        if name.startswith("test_") and (fault := _name_fault(name.split("_")[1:]))
    ]


def _name_fault(words: list[str]) -> str | None:
    if words[0] in NAMELESS:
        return f"begin with the subject, not with '{words[0]}'"
    if len(words) < FEWEST_WORDS:
        return "say test_<subject>_<behaviour>, in three words or more"
    return None


def _in_docstrings(source: str) -> Iterator[Finding]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield from _in_docstring(node.lineno, text)


def _in_docstring(first_line: int, text: str) -> Iterator[Finding]:
    if opening := _OPENING.match(text.strip()):
        yield Finding(first_line, f"do not open with '{opening[1]}': say what it does or is")
    for line, words in enumerate(text.splitlines(), first_line):
        yield from _phrases(line, words)


def _in_comments(source: str) -> Iterator[Finding]:
    # Most files have no such comment, and the tokenizer takes longer than all the rest.
    if not any(_PHRASE.search(line.partition("#")[2]) for line in source.splitlines()):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _phrases(token.start[0], token.string)


def _phrases(line: int, words: str) -> Iterator[Finding]:
    for found in _PHRASE.finditer(words):
        advice = _ADVICE[int((found.lastgroup or "p0")[1:])]
        yield Finding(line, f"'{found[0]}' in '{words.strip()}': {advice}")
