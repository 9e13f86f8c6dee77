"""The upstream server that the settings name, with its time limits."""

from dataclasses import dataclass, field
from typing import Literal, Self

from axon.engine_settings import EngineSettings

Kind = Literal["vllm", "openai"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """An upstream server; all times are in seconds.

    Parameters
    ----------
    url : str
        Base URL, without ``/chat/completions``.
    api_key : str | None
        Sent as a bearer token; None to send none.
    models : tuple[str, ...]
        Models to serve; empty for those that the server lists.
    kind : Literal["auto"] | Kind
        Its API; "auto" to detect it.
    context_window : int
        Tokens, for models whose context window the server does not return.
    connect_timeout_s : float
        Limit for establishing a connection.
    first_token_timeout_s : float
        Limit for the first event of a stream, which includes the wait in the server's queue.
    token_timeout_s : float
        Limit between two events.
    retries : int
        Further requests for one answer after failures.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ()
    kind: Literal["auto"] | Kind = "auto"
    context_window: int = 8192
    connect_timeout_s: float = 5
    first_token_timeout_s: float = 120
    token_timeout_s: float = 30
    retries: int = 2

    @classmethod
    def of(cls, settings: EngineSettings) -> Self | None:
        """Return the upstream that the settings name, None if they name none."""
        if settings.upstream_url is None:
            return None
        key = settings.upstream_api_key
        return cls(
            url=settings.upstream_url,
            api_key=key.get_secret_value().strip() if key else None,
            models=settings.upstream_models,
            kind=settings.upstream_kind,
            context_window=settings.upstream_context_window,
            connect_timeout_s=settings.upstream_connect_timeout_s,
            first_token_timeout_s=settings.upstream_first_token_timeout_s,
            token_timeout_s=settings.upstream_token_timeout_s,
            retries=settings.upstream_retries,
        )

    @property
    def root(self) -> str:
        """Return the URL of vLLM's own routes."""
        return self.url.removesuffix("/v1")
