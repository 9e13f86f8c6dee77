"""AWS credentials for code that signs its own requests on an event loop."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Self

from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import get_session

from axon.exceptions import SettingsError

logger = logging.getLogger(__name__)


class RotatingCredentials:
    """The latest credentials of a botocore provider, asked for anew in the background.

    A role's credentials are replaced hours before their end, by a request that blocks; a thread
    makes it, and signing goes on with the old ones meanwhile.

    Parameters
    ----------
    source : what botocore's chain of providers found.
    max_age_s : seconds after which the source is asked again.
    """

    def __init__(
        self,
        *,
        source: Credentials,
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
        SettingsError : there are none.
        """
        source = get_session().get_credentials()
        if source is None:
            raise SettingsError("no AWS credentials found: set AWS_ACCESS_KEY_ID or attach a role")
        return cls(source=source)

    def current(self) -> ReadOnlyCredentials:
        """Return credentials to sign with; never blocks."""
        if self._refreshing is None and self._clock() - self._asked_at >= self._max_age_s:
            self._refreshing = asyncio.create_task(self._refresh())
        return self._frozen

    async def _refresh(self) -> None:
        try:
            self._frozen = await asyncio.to_thread(self._source.get_frozen_credentials)
        except BotoCoreError:
            logger.exception("AWS credentials could not be refreshed; the old ones stay in use")
        finally:
            self._asked_at = self._clock()
            self._refreshing = None
