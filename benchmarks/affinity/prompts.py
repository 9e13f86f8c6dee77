"""Prompts: long instructions that no two conversations share, and questions."""

from random import Random

_ADJECTIVES = ("red", "blue", "old", "small", "quiet", "open", "late", "warm", "flat", "deep")
_NOUNS = (
    "boat", "harbor", "letter", "garden", "river", "window", "market", "train", "records", "road",
    "table", "engine", "lamp", "bridge", "ticket", "captain", "island", "paper", "clock", "house",
)  # fmt: skip
_VERBS = ("goes to", "waits for", "stands by", "leaves", "finds", "keeps", "follows", "needs")


def instructions(conversation: int, *, words: int) -> str:
    """Return a conversation's instructions of about `words` words; all begin differently."""
    random = Random(conversation)
    text = f"Notes of office {conversation}, to be kept in mind."
    while text.count(" ") + 1 < words:
        text += f" {_rule(random)}"
    return text


def question(conversation: int, turn: int) -> str:
    """Return the question of a turn."""
    random = Random(conversation * 1000 + turn)
    noun, other = random.sample(_NOUNS, 2)
    return (
        f"Question {turn + 1}. Tell me in a few sentences about the {random.choice(_ADJECTIVES)} "
        f"{noun} and the {other}, what the notes say of both, and what you said of them before."
    )


def _rule(random: Random) -> str:
    adjective, verb = random.choice(_ADJECTIVES), random.choice(_VERBS)
    noun, other = random.sample(_NOUNS, 2)
    return f"The {adjective} {noun} {verb} the {other}."
