"""What a command cannot do."""


class CommandError(Exception):
    """Shown as one line; `code` is the exit code."""

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
