from pathlib import Path

from local.ports import Ports
from local.stack.addresses import Addresses
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.ready import ready_block


def test_ready_block_names_what_a_client_needs(tmp_path: Path) -> None:
    folders = Folders(root=tmp_path, storage=tmp_path)
    options = Options(
        engine="smollm2", port=9000, data=tmp_path, workers=1, relays=1, ephemeral=False
    )
    with Ports() as ports:
        addresses = Addresses.choose(
            ports=ports, folders=folders, client_port=9000, persistent=True
        )
    lines = ready_block(addresses, options, took_s=4.25).split("\n")
    assert "Axon is ready (4.2 s)" in lines
    assert "  playground  http://127.0.0.1:9000/" in lines
    assert "  base URL    http://127.0.0.1:9000/v1" in lines
    websocket = "  WebSocket   ws://127.0.0.1:9000/v1/responses, API Gateway's: 32 KB a frame"
    assert any(line.startswith(websocket) and "128 KB a message" in line for line in lines)
    assert "  API key     sk-axon-local" in lines
    assert any(f"`.venv/bin/axon chat --data {tmp_path}`" in line for line in lines)
    assert any('model="smollm2-135m-instruct"' in line for line in lines)
    front = f"  front       http://127.0.0.1:{addresses.front_port}/v1 for HTTP"
    assert any(line.startswith(front) and "WebSocket" in line for line in lines)
