"""The peers: how each is started and addressed, and which processes it has."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import environments
from benchmarks.model import Pace
from benchmarks.server import Server, free_port

MOCK, AXON = "mock", "axon"
LITELLM_1, LITELLM_2 = "litellm, 1 worker", "litellm, 2 workers"
ROUTER = "vllm-router"
AGENTIC, AGENTIC_SOCKET, SMG = "agentic-api, SSE", "agentic-api, WebSocket", "smg, SSE"
AXON_SSE, AXON_FRONT = "axon, SSE", "axon, front WebSocket"
ALL = (
    *(MOCK, LITELLM_1, LITELLM_2, ROUTER, AGENTIC, AGENTIC_SOCKET, SMG),
    *(AXON, AXON_SSE, AXON_FRONT),
)
_RESPONSES = "/v1/responses"

_QUIET_LOGS = {"version": 1, "disable_existing_loggers": True, "root": {"level": "ERROR"}}
# As many as the largest cell has clients, so that none waits for a slot: the mock has no limit.
_AXON_SLOTS = 256
_NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running peer.

    Parameters
    ----------
    kind : str
        The client that speaks to it, see `benchmarks.clients.make_client`.
    roots : Callable[[], dict[int, str]]
        Returns the names of its processes by pid.
    front_url : str
        The address of Axon's front; empty for others.
    """

    name: str
    kind: str
    url: str
    model: str
    server: Server
    folder: tempfile.TemporaryDirectory[str]
    roots: Callable[[], dict[int, str]] = field(repr=False)
    front_url: str = ""

    def stop(self) -> None:
        """Stop its processes and delete its data."""
        self.server.stop()
        self.folder.cleanup()


async def start_mock(pace: Pace) -> Peer:
    """Start the mock engine that the HTTP peers share."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.mock_engine", "--port", str(port)]
    command += ["--ttft-ms", str(pace.ttft_ms), "--token-ms", str(pace.token_ms)]
    server = Server(name=MOCK, command=command)
    await server.ready(f"http://127.0.0.1:{port}/health", within_s=10)
    return _http_peer(name=MOCK, port=port, server=server, folder=_folder(), engine=None)


async def start_litellm(name: str, *, workers: int, mock: Peer) -> Peer:
    """Start LiteLLM's proxy without a database, with its logs and its telemetry off."""
    folder, port = _folder(), free_port()
    parameters = {"model": "openai/mock", "api_base": _base(mock), "api_key": "none"}
    config = {
        "model_list": [{"model_name": "mock", "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
    }
    (Path(folder.name) / "config.yaml").write_text(json.dumps(config))
    (Path(folder.name) / "logs.json").write_text(json.dumps(_QUIET_LOGS))
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [str(environments.ensure("litellm") / "litellm"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", str(workers), "--telemetry", "False"]
    command += [
        "--config",
        f"{folder.name}/config.yaml",
        "--log_config",
        f"{folder.name}/logs.json",
    ]
    # The default, 5 s, drops connections with a request unread when a turn of its loop is longer.
    command += ["--keepalive_timeout", "300"]
    server = Server(name=f"litellm-{workers}", command=command, environment=environment)
    await server.ready(f"http://127.0.0.1:{port}/health/liveliness", within_s=120)
    return _http_peer(name=name, port=port, server=server, folder=folder, engine=mock)


async def start_router(mock: Peer) -> Peer:
    """Start vLLM's router with the mock as its only worker."""
    folder, port = _folder(), free_port()
    command = [str(environments.ensure("vllm-router") / "vllm-router"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--worker-urls", _base(mock).removesuffix("/v1")]
    command += ["--policy", "round_robin", "--prometheus-port", str(free_port())]
    command += ["--log-level", "error", "--worker-startup-check-interval", "1"]
    server = Server(name=ROUTER, command=command)
    await server.ready(f"http://127.0.0.1:{port}/health", within_s=60)
    return _http_peer(name=ROUTER, port=port, server=server, folder=folder, engine=mock)


async def start_axon(pace: Pace, settings: Mapping[str, str] = _NO_SETTINGS) -> Peer:
    """Start the whole local cloud with the echo engine at `pace`, on temporary data."""
    environment = {
        "AXON_ECHO_TTFT_MS": f"{pace.ttft_ms:g}",
        "AXON_ECHO_TOKEN_MS": f"{pace.token_ms:g}",
        "AXON_SLOTS": str(_AXON_SLOTS),
        **settings,
    }
    return await start_cloud("--engine", "echo", model="echo", settings=environment)


async def start_cloud(
    *arguments: str, model: str, settings: Mapping[str, str], within_s: float = 120.0
) -> Peer:
    """Start `axon dev` with these arguments and environment variables."""
    folder, port = _folder(), free_port()
    data = Path(folder.name) / "data"
    command = [str(Path(sys.executable).parent / "axon"), "dev", *arguments]
    command += ["--port", str(port), "--data", str(data), "--ephemeral"]
    server = Server(name=AXON, command=command, environment=settings)
    await server.ready(f"http://127.0.0.1:{port}/health", within_s=within_s, says=b"Axon is ready")
    return Peer(
        name=AXON,
        kind="websocket",
        url=f"ws://127.0.0.1:{port}/v1/responses",
        model=model,
        server=server,
        folder=folder,
        roots=lambda: axon_roots(data, server.pid),
        front_url=json.loads((data / "run" / "endpoints.json").read_text())["front_url"],
    )


def axon_roots(data: Path, supervisor: int) -> dict[int, str]:
    """Return the names of Axon's processes by pid; every Lambda function is called `lambda`."""
    roots = {supervisor: "supervisor"}
    for file in sorted((data / "run").glob("*.pid")):
        name = "lambda" if file.stem.startswith("lambda") else file.stem
        roots.setdefault(int(file.read_text()), name)
    return roots


async def start_agentic_api(mock: Peer) -> Peer:
    """Start agentic-api, which keeps its responses in SQLite, before the mock."""
    folder, port = _folder(), free_port()
    command = [str(environments.ensure("agentic-api") / "agentic-server")]
    command += ["--gateway-host", "127.0.0.1", "--gateway-port", str(port)]
    command += ["--llm-api-base", _base(mock).removesuffix("/v1")]
    command += ["--db-url", f"sqlite://{folder.name}/responses.db?mode=rwc"]
    environment = {"HOME": folder.name, "OPENAI_API_KEY": "none"}
    server = Server(name="agentic-api", command=command, environment=environment)
    await server.ready(f"http://127.0.0.1:{port}/health", within_s=60)
    peer = _http_peer(name=AGENTIC, port=port, server=server, folder=folder, engine=mock)
    return replace(peer, kind="responses", url=f"http://127.0.0.1:{port}{_RESPONSES}")


async def start_smg(mock: Peer) -> Peer:
    """Start Shepherd Model Gateway with the mock as its only worker."""
    folder, port = _folder(), free_port()
    command = [str(environments.ensure("smg") / "smg"), "launch", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--worker-urls", _base(mock).removesuffix("/v1")]
    command += ["--policy", "round_robin", "--prometheus-port", str(free_port())]
    command += ["--log-level", "error"]
    server = Server(name="smg", command=command, environment={"HOME": folder.name})
    await server.ready(f"http://127.0.0.1:{port}/readiness", within_s=60)
    peer = _http_peer(name=SMG, port=port, server=server, folder=folder, engine=mock)
    return replace(peer, kind="responses", url=f"http://127.0.0.1:{port}{_RESPONSES}")


async def start(
    name: str, *, pace: Pace, mock: Peer, settings: Mapping[str, str] = _NO_SETTINGS
) -> Peer:
    """Start the server of the peer called `name`; the mock must be running.

    Parameters
    ----------
    settings : Mapping[str, str]
        Environment variables of Axon's local cloud.

    Returns
    -------
    Peer
        The first of the names that `of_server` knows for it.
    """
    match name:
        case "vllm-router":
            return await start_router(mock)
        case "smg, SSE":
            return await start_smg(mock)
        case "agentic-api, SSE" | "agentic-api, WebSocket":
            return await start_agentic_api(mock)
        case "axon" | "axon, SSE" | "axon, front WebSocket":
            return await start_axon(pace, settings)
        case _:
            return await start_litellm(name, workers=1 if name == LITELLM_1 else 2, mock=mock)


def of_server(started: Peer) -> list[Peer]:
    """Return the peers that one server is: itself, and under its other addresses."""
    if started.name == AGENTIC:
        url = started.url.replace("http:", "ws:")
        return [started, replace(started, name=AGENTIC_SOCKET, kind="websocket", url=url)]
    if started.name == AXON:
        plain = started.url.replace("ws:", "http:")
        socket = started.front_url.replace("http:", "ws:").removesuffix("/v1") + _RESPONSES
        return [
            started,
            replace(started, name=AXON_SSE, kind="responses", url=plain),
            replace(started, name=AXON_FRONT, url=socket),
        ]
    return [started]


def _http_peer(
    *,
    name: str,
    port: int,
    server: Server,
    folder: tempfile.TemporaryDirectory[str],
    engine: Peer | None,
) -> Peer:
    roots = {server.pid: name.partition(",")[0]}
    if engine is not None:
        roots |= engine.roots()
    return Peer(
        name=name,
        kind="chat",
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        model="mock",
        server=server,
        folder=folder,
        roots=lambda: roots,
    )


def _base(mock: Peer) -> str:
    return mock.url.removesuffix("/chat/completions")


def _folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="axon-bench-", ignore_cleanup_errors=True)
    Path(folder.name).chmod(0o755)  # PostgreSQL runs as another user where Axon is started as root
    return folder
