"""Login to Valkey: as the URL says, or as a user of ElastiCache by IAM."""

import time
from collections.abc import Callable

from redis.credentials import CredentialProvider

from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.iam_tokens import valkey_token
from axon.adapters.aws.sigv4 import Credentials
from axon.exceptions import SettingsError
from axon.settings import ValkeySettings


class IamLogin(CredentialProvider):
    """Asked by each new connection: a user and an IAM token.

    ElastiCache closes such connections after 12 hours (AWS quota); the next one logs in again.
    """

    def __init__(
        self, *, user: str, cache: str, region: str, credentials: Callable[[], Credentials]
    ) -> None:
        self._user = user
        self._cache = cache
        self._region = region
        self._credentials = credentials

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return the user and a new token."""
        token = valkey_token(
            user=self._user,
            cache=self._cache,
            region=self._region,
            credentials=self._credentials(),
            now=time.time(),
        )
        return self._user, token


def login_of(settings: ValkeySettings) -> IamLogin | None:
    """Return the login that the settings describe; None: the URL says it all.

    Raises
    ------
    SettingsError
        Half of one is set, or there are no AWS credentials for it.
    """
    user, cache = settings.valkey_iam_user, settings.valkey_iam_cache
    if user is None and cache is None:
        return None
    if user is None or cache is None:
        raise SettingsError("set both AXON_VALKEY_IAM_USER and AXON_VALKEY_IAM_CACHE, or neither")
    return IamLogin(
        user=user,
        cache=cache,
        region=settings.aws_region,
        credentials=process_credentials().current,
    )
