"""TextStops: stop strings in the text that a client is shown, and in nothing else of an answer."""

from collections.abc import Sequence

from worker.engines.stops import StopScanner


class TextStops:
    """Ends a text before its first stop string, and keeps back what may be the beginning of one.

    What is shown of a text does not depend on how it was cut. A stop string does not reach over
    reasoning or a call: `release` ends the text that it can stand in.

    Parameters
    ----------
    stop : Sequence[str]
        The stop strings; none keeps nothing back.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._scanner = StopScanner(stop)
        self._held = ""

    @property
    def found(self) -> str | None:
        """The stop string that has ended the text."""
        return self._scanner.found

    def feed(self, text: str) -> str:
        """Return what is shown once this text has followed; nothing is fed behind a stop string."""
        start = self._scanner.find(text)
        text, begun = self._held + text, len(self._held)
        shown = len(text) - self._scanner.matched if start is None else begun + start
        self._held = text[shown:]
        return text[:shown]

    def release(self) -> str:
        """Return what was kept back: no stop string follows, as the text ends here."""
        held, self._held = self._held, ""
        if held:
            self._scanner = StopScanner(self._stop)
        return held
