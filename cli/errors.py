"""The error of a command."""


class CommandError(Exception):
    """A command failed; the message is shown as one line, and `code` is the exit code."""

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
