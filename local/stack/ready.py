"""The text for a person when the local cloud is ready."""

from pathlib import Path

from axon.protocol.sizes import FRAME_BYTES, MESSAGE_BYTES
from local.installation import COMMAND
from local.stack.addresses import Addresses
from local.stack.configurations import API_KEY
from local.stack.options import Options


def ready_block(addresses: Addresses, options: Options, *, took_s: float) -> str:
    """Return the addresses, the key and a first program for a client."""
    model = options.model_name
    base_url = addresses.base_url
    chat = f"{COMMAND} chat"
    if options.data != Path(".axon"):
        chat += f" --data {options.data}"
    websocket = base_url.replace("http", "ws", 1)
    # SDKs cannot split a message, and the gateway closes the connection without saying why.
    frame, message = FRAME_BYTES // 1024, MESSAGE_BYTES // 1024
    limits = f"API Gateway's: {frame} KB a frame (SDKs: a request), {message} KB a message"
    return f"""
Axon is ready ({took_s:.1f} s)

  playground  {base_url.removesuffix("v1")}
  base URL    {base_url}
  WebSocket   {websocket}/responses, {limits}
  API key     {API_KEY}
  model       {model}
  front       {addresses.front_url} for HTTP, and for a WebSocket with longer requests

Try it with `{chat}`, by WebSocket with `client.responses.connect()` (openai[realtime] from
PyPI), or over HTTP:

  from openai import OpenAI
  client = OpenAI(api_key="{API_KEY}", base_url="{base_url}")
  question = "What is the capital of France?"
  for event in client.responses.create(model="{model}", input=question, stream=True):
      print(getattr(event, "delta", ""), end="", flush=True)

Ctrl-C stops it.
"""
