"""What stops the local cloud from starting."""


class LocalCloudError(Exception):
    """Something a person can put right. Its text is one line, shown as it is."""
