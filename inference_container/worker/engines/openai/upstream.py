"""The server that the settings name, and how patient the engine is with it."""

from dataclasses import dataclass, field
from typing import Literal, Self

from axon.settings import EngineSettings

Kind = Literal["vllm", "openai"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """Whom to ask. `url` ends before ``/chat/completions``; all times are in seconds.

    Without `models` it serves those that the server lists. `context_window` (tokens) is for models
    whose own the server does not tell. `retries` are the further requests that one answer may take.
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
        """Return what the settings name, None if they name no server."""
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
        """Where vLLM's own routes are."""
        return self.url.removesuffix("/v1")
