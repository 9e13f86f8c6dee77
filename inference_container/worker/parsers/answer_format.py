"""AnswerFormat: how a model writes what is no text in one answer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from axon.protocol.tools import OfferedTool
from axon.serialization import dumps, loads
from worker.engines.protocol import ModelInfo, Prompt
from worker.parsers.answer import AnswerParser
from worker.parsers.families import REASONING_FORMATS, parser_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFormat:
    """The format of an answer: its attempts must agree on it, whatever settings say meanwhile.

    Parameters
    ----------
    calls, reasoning : str | None
        Names of formats (`worker.parsers.families`); None for what is text.
    opened : bool
        The prompt has ended with the marker that begins the reasoning.
    """

    calls: str | None = None
    reasoning: str | None = None
    opened: bool = False

    @classmethod
    def of(cls, model: ModelInfo, prompt: Prompt, *, calls: bool) -> Self | None:
        """Return the format of an answer; None if all of it is text.

        Parameters
        ----------
        model : ModelInfo
            The model.
        prompt : Prompt
            The prompt.
        calls : bool
            The request lets the model call tools.
        """
        form = cls(
            calls=model.call_format if calls else None,
            reasoning=model.reasoning_format,
            opened=model.reasoning_opened or _opens(model.reasoning_format, prompt),
        )
        return form if form.calls or form.reasoning else None

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return the format that `record` has written."""
        return cls(**loads(data))

    def record(self) -> bytes:
        """Return the format as a journal record keeps it."""
        return dumps(asdict(self))

    def parser(self, tools: Sequence[OfferedTool]) -> AnswerParser:
        """Return the parser of an answer.

        Parameters
        ----------
        tools : Sequence[OfferedTool]
            The tools that the model saw.
        """
        functions = {tool.name: dict(tool.parameters) for tool in tools}
        return parser_of(
            calls=self.calls, reasoning=self.reasoning, opened=self.opened, tools=functions
        )


def _opens(name: str | None, prompt: Prompt) -> bool:
    form = REASONING_FORMATS.get(name or "")
    return form is not None and prompt.text.rstrip().endswith(form.begin)
