"""The error of the local cloud."""


class LocalCloudError(Exception):
    """The local cloud cannot start; the message is one line that says what to do."""
