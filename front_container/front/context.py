"""FrontContext: the parts of the front that its routes use."""

from dataclasses import dataclass

from axon.directory.connections import ConnectionDirectory
from axon.named_conversations.items import ConversationItems
from axon.named_conversations.service import NamedConversations
from axon.responses.retrieval import ResponseRetrieval
from axon.responses.service import ResponseService
from front.authentication import Authenticator
from front.bodies import Bodies
from front.models import ServedModels
from front.reading import ResponseReader
from front.requests import OpenRequests
from front.socket.sockets import OpenSockets


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontContext:
    """The parts of a front that its routes share.

    Parameters
    ----------
    service : ResponseService
        Accepts, cancels and deletes responses.
    retrieval : ResponseRetrieval
        Finds responses that run or are stored.
    named : NamedConversations
        The conversations that clients have created.
    items : ConversationItems
        Their items.
    reader : ResponseReader
        Follows responses for HTTP requests.
    authenticator : Authenticator
        Finds the principal of a request.
    models : ServedModels
        The models that requests may name.
    requests : OpenRequests
        The requests that are being answered.
    bodies : Bodies
        Reads the bodies of requests.
    cors_origins : tuple[str, ...]
        Origins whose pages may call the front from a browser (`front.access`).
    sockets : OpenSockets
        The open WebSockets.
    directory : ConnectionDirectory
        Keeps what lives and dies with a WebSocket.
    allowed_hosts : tuple[str, ...]
        Names that requests may give the front; empty for any.
    playground : bool
        Whether ``/`` serves a page to try the models on.
    """

    service: ResponseService
    retrieval: ResponseRetrieval
    named: NamedConversations
    items: ConversationItems
    reader: ResponseReader
    authenticator: Authenticator
    models: ServedModels
    requests: OpenRequests
    bodies: Bodies
    sockets: OpenSockets
    directory: ConnectionDirectory
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    playground: bool = False
