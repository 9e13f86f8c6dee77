"""The ECS agent, which answers a task's requests about itself."""

import aiohttp

from axon.exceptions import UnavailableError

_TIMEOUT_S = 5.0


class EcsAgent:
    """Asks the agent of the task that this process runs in.

    Parameters
    ----------
    uri : str
        What ECS puts into ``ECS_AGENT_URI``.
    """

    def __init__(self, *, uri: str) -> None:
        self._url = f"{uri.rstrip('/')}/task-protection/v1/state"

    async def protect(self, *, minutes: int | None) -> None:
        """Protect the task from scale-in and deployments for some minutes; None: stop that.

        Raises
        ------
        UnavailableError
            The agent, or ECS behind it, did not do it.
        """
        state: dict[str, object] = {"ProtectionEnabled": minutes is not None}
        if minutes is not None:
            state["ExpiresInMinutes"] = minutes
        try:
            status, answer = await self._put(state)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnavailableError(f"ECS agent: {error!r}") from error
        # Some failures come with HTTP 200.
        if status != 200 or "protection" not in answer:
            raise UnavailableError(f"ECS agent: HTTP {status}: {answer}")

    async def _put(self, state: dict[str, object]) -> tuple[int, dict[str, object]]:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (  # a session of its own: there are minutes between two calls
            aiohttp.ClientSession(timeout=timeout) as session,
            session.put(self._url, json=state) as answer,
        ):
            parsed = await answer.json(content_type=None)
            return answer.status, parsed if isinstance(parsed, dict) else {}
