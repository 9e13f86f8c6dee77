"""The gateway's configuration file; every limit defaults to that of API Gateway."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CONNECT, DISCONNECT, DEFAULT = "$connect", "$disconnect", "$default"

Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Frozen):
    """Limits: sizes in bytes, times in seconds, rates per second with their bursts.

    The defaults are the quotas that AWS publishes for WebSocket APIs. The exception is
    `client_buffer_bytes`, the amount that may wait for a slow client: AWS does not publish it.
    """

    frame_bytes: PositiveInt = 32 * 1024
    message_bytes: PositiveInt = 128 * 1024
    integration_timeout_s: Positive = 29
    idle_timeout_s: Positive = 10 * 60
    connection_duration_s: Positive = 2 * 60 * 60
    connections_per_s: Positive = 500
    connections_burst: Positive = 500
    requests_per_s: Positive = 10_000
    requests_burst: Positive = 5_000
    client_buffer_bytes: PositiveInt = 1024 * 1024


class RouteConfig(_Frozen):
    """A route's Lambda proxy integration; with `route_response` its `body` goes to the client."""

    function: str
    route_response: bool = False


class GatewayConfig(_Frozen):
    """The whole file.

    Parameters
    ----------
    port : Port
        Clients connect here.
    management_port : Port
        ``@connections`` is served here.
    front_port : Port | None
        Plain HTTP requests on `port` are forwarded to the front, which listens here; None: they are
        refused, as API Gateway does for WebSocket APIs.
    token : str | None
        Session token that callers of ``@connections`` send, and that the gateway sends to the
        Lambda service; None for none.
    allowed_hosts : tuple[str, ...]
        Names in lower case, without a port, that clients may send in their Host header besides
        this machine's.
    stage : str
        Last part of the path that clients connect to.
    api_id : str
        Id of the API in ARNs.
    region : str
        Region in ARNs.
    account_id : str
        Account in ARNs.
    lambda_endpoint : str
        The Lambda service, without a path.
    authorizer : str | None
        The authorizer function; None admits everyone.
    authorizer_header : str
        Header that a handshake must have to be authorized.
    route_selection_expression : str
        Where a message names its route.
    routes : dict[str, RouteConfig]
        The function of each route, by route key.
    limits : Limits
        Quotas of API Gateway, by default those of AWS.
    lambda_retry_s : float
        Seconds for which an invocation is retried while no Lambda service listens: a local one
        may be restarting, whereas that of AWS is always available.
    front_retry_s : float
        The same for a connection to the front.
    close_timeout_s : float
        Time for a client's closing handshake.
    stop_timeout_s : float
        Time for closing all connections and running their `$disconnect`.
    """

    port: Port
    management_port: Port
    front_port: Port | None = None
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    stage: str = Field(default="responses", pattern=r"^[A-Za-z0-9_$-]+$")
    api_id: str = "local"
    region: str = "us-east-1"
    account_id: str = "000000000000"
    lambda_endpoint: str = Field(pattern=r"^http://[^/]+$")
    authorizer: str | None = None
    authorizer_header: str = "Authorization"
    route_selection_expression: str = Field(
        default="$request.body.type", pattern=r"^\$request\.body(\.[A-Za-z0-9_-]+)+$"
    )
    routes: dict[str, RouteConfig]
    limits: Limits = Limits()
    lambda_retry_s: Positive = 10
    front_retry_s: Positive = 10
    close_timeout_s: Positive = 2
    stop_timeout_s: Positive = 8

    @property
    def paths(self) -> tuple[str, str]:
        """Paths that clients connect to: the stage's, and the same below a mapped /v1."""
        return f"/{self.stage}", f"/v1/{self.stage}"

    @property
    def method_arn(self) -> str:
        """The ARN that a policy must allow for `$connect`."""
        api = f"{self.region}:{self.account_id}:{self.api_id}"
        return f"arn:aws:execute-api:{api}/{self.stage}/{CONNECT}"
