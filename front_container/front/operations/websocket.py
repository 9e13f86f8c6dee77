"""The operation of the Responses WebSocket: its handshake."""

from front.operations.operation import Answer, Operation
from front.operations.parameters import Choice, Header
from front.operations.responses import TAG

CANCEL_ON_DISCONNECT = Choice(
    "cancel_on_disconnect",
    "Cancel the responses within seconds when the client leaves, unless a request says otherwise.",
    ("false", "true", "0", "1"),
)
CANCEL_HEADER = Header("Axon-Cancel-On-Disconnect", "The same, for clients that set no query.")

CONNECT = Operation(
    id="connectResponses",
    tag=TAG,
    summary="Open a WebSocket for many requests",
    description="With the header `Upgrade: websocket`, as `client.responses.connect()` of OpenAI's "
    "SDKs sends it. Messages are the events of OpenAI's WebSocket mode, `response.create` first "
    "of all, and those of a stream come back; `response.resume` goes on after a drop.",
    parameters=(CANCEL_ON_DISCONNECT, CANCEL_HEADER),
    answers={101: Answer("The WebSocket is open.")},
    refusals=(400, 426, 503),
)
