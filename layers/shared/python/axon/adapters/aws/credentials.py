"""AWS credentials for code that signs its own requests on an event loop."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Self

from axon.adapters.aws.sigv4 import Credentials
from axon.exceptions import SettingsError

if TYPE_CHECKING:
    from botocore.credentials import Credentials as CredentialsSource

logger = logging.getLogger(__name__)


class FixedCredentials(NamedTuple):
    """Credentials that stay, as a Lambda function has them in its environment."""

    access_key: str
    secret_key: str
    token: str | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self | None:
        """Return the environment's, which every AWS client takes first; None: it has none."""
        access_key, secret_key = (
            environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
        if not access_key or not secret_key or environ.get("AWS_CREDENTIAL_EXPIRATION"):
            return None
        return cls(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)

    def current(self) -> Self:
        """Return credentials to sign with."""
        return self


class RotatingCredentials:
    """The latest credentials of a botocore provider, refreshed in the background.

    A role's credentials are replaced hours before their end, by a request that blocks; a thread
    makes it, and signing goes on with the old ones meanwhile.

    Parameters
    ----------
    source : CredentialsSource
        What botocore's chain of providers found.
    max_age_s : float
        Seconds after which the source is asked again.
    clock : Callable[[], float]
        Monotonic seconds, for `max_age_s`.
    """

    def __init__(
        self,
        *,
        source: "CredentialsSource",
        max_age_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._max_age_s = max_age_s
        self._clock = clock
        self._refreshing: asyncio.Task[None] | None = None
        self._frozen = source.get_frozen_credentials()
        self._asked_at = clock()

    @classmethod
    def from_session(cls) -> Self:
        """Look the credentials up where every AWS client does: environment, files, task role.

        Raises
        ------
        SettingsError
            There are none.
        """
        from botocore.session import get_session

        source = get_session().get_credentials()
        if source is None:
            raise SettingsError("no AWS credentials found: set AWS_ACCESS_KEY_ID or attach a role")
        return cls(source=source)

    def current(self) -> Credentials:
        """Return credentials to sign with; never blocks."""
        if self._refreshing is None and self._clock() - self._asked_at >= self._max_age_s:
            self._refreshing = asyncio.create_task(self._refresh())
        return self._frozen

    async def _refresh(self) -> None:
        from botocore.exceptions import BotoCoreError

        try:
            self._frozen = await asyncio.to_thread(self._source.get_frozen_credentials)
        except BotoCoreError:
            logger.exception("AWS credentials could not be refreshed; the old ones stay in use")
        finally:
            self._asked_at = self._clock()
            self._refreshing = None


@cache
def process_credentials() -> FixedCredentials | RotatingCredentials:
    """Return the one set of AWS credentials of this process.

    Those of the environment are taken without botocore: importing it would make a function's cold
    start longer by half.

    Raises
    ------
    SettingsError
        There are none.
    """
    return FixedCredentials.from_environ(os.environ) or RotatingCredentials.from_session()
