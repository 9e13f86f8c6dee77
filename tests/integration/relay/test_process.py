"""``python -m relay`` at its edges."""

import asyncio
import os
import sys

PLACEHOLDERS = {
    "AXON_VALKEY_URL": "redis://127.0.0.1:1/0",
    "AXON_CONNECTIONS_ENDPOINT": "http://127.0.0.1:1/responses",
    "AXON_HISTORY_QUEUE_URL": "http://127.0.0.1:1/queue",
}


async def run(environ: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_relay_process_says_a_missing_setting_in_one_line() -> None:
    code, said = await run({**os.environ, **PLACEHOLDERS, "AXON_CONNECTIONS_ENDPOINT": ""})
    assert code == 1
    assert said == "relay: AXON_CONNECTIONS_ENDPOINT: Field required\n"


async def test_relay_process_says_missing_credentials_in_one_line() -> None:
    environ = {name: text for name, text in os.environ.items() if "ACCESS_KEY" not in name}
    code, said = await run(environ | PLACEHOLDERS)
    assert code == 1
    assert said.splitlines()[-1].startswith("relay: no AWS credentials found")
    assert "Traceback" not in said
