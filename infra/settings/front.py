"""The home of the HTTP API: a Lambda function, or tasks behind a load balancer (ADR 36)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra.settings import capacity
from infra.settings.fields import CertificateArn, Count, Domain, HostedZoneId, Origin, WebAclArn
from infra.settings.sections import Architecture, Section


class _Pages(Section):
    """Access of browsers to either home.

    `cors_origins`: origins whose pages may call the API. `playground`: serve a page on which people
    try the models.
    """

    cors_origins: tuple[Origin, ...] = ()
    playground: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The front's environment variables for them."""
        variables = {"AXON_PLAYGROUND": "true"} if self.playground else {}
        if self.cors_origins:
            variables["AXON_CORS_ORIGINS"] = ",".join(self.cors_origins)
        return variables


class FunctionFront(_Pages):
    """A Lambda function with a URL: nothing runs while nobody asks. HTTP only.

    `reserved_concurrency`: the most requests at a time, taken from what the account has for all
    functions; None: what the others leave. New accounts have too little to reserve any.
    """

    home: Literal["function"] = "function"
    reserved_concurrency: Count | None = None


class BalancedFront(_Pages):
    """Tasks on Fargate behind an HTTPS balancer. `cpu` in units of 1/1024 vCPU, memory in MiB.

    The certificate is made for `domain_name` in the Route 53 zone `hosted_zone_id`, or it is
    `certificate_arn`; with a zone, the name leads to the balancer. `web_acl_arn`: a web ACL of AWS
    WAF that filters requests. `requests_per_task`: open requests, by which the tasks are scaled.
    """

    home: Literal["balancer"]
    tasks: Annotated[int, Field(ge=2, le=50)] = 2
    max_tasks: Annotated[int, Field(ge=2, le=200)] = 4
    cpu: Literal[256, 512, 1024, 2048, 4096] = 512
    memory_mb: int = 1024
    architecture: Architecture = "arm64"
    requests_per_task: Count = 400
    domain_name: Domain | None = None
    hosted_zone_id: HostedZoneId | None = None
    certificate_arn: CertificateArn | None = None
    web_acl_arn: WebAclArn | None = None
    image: str | None = None

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_tasks < self.tasks:
            raise ValueError("max_tasks must be at least tasks")
        capacity.check_fargate(cpu=self.cpu, memory_mb=self.memory_mb)
        return self

    @model_validator(mode="after")
    def _has_a_certificate(self) -> Self:
        if self.hosted_zone_id is not None and self.domain_name is None:
            raise ValueError("hosted_zone_id needs domain_name, a name in that zone")
        if self.certificate_arn is None and self.hosted_zone_id is None:
            raise ValueError(
                "the balancer needs a certificate, since API keys may not travel in plain text: "
                "set front.domain_name and front.hosted_zone_id (Route 53), or "
                "front.certificate_arn (ACM, the same region)"
            )
        return self


Front = Annotated[FunctionFront | BalancedFront, Field(discriminator="home")]
