"""Types of settings' fields: names that every AWS service accepts, ARNs, amounts."""

from typing import Annotated, Literal

from pydantic import Field

_TAG = r"^[A-Za-z0-9 .:/=+@_-]*$"

# Valid in every service whose names contain it: no hyphen at the end, no two in a row.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=16)]
Count = Annotated[int, Field(ge=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Domain = Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")]
CertificateArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+$")
]
HostedZoneId = Annotated[str, Field(pattern=r"^Z[A-Z0-9]{1,31}$")]
WebAclArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:wafv2:[a-z0-9-]+:\d{12}:regional/webacl/.+$")
]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^\s/,]+)$")]
Account = Annotated[str, Field(pattern=r"^\d{12}$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
TagKey = Annotated[str, Field(pattern=_TAG, min_length=1, max_length=128)]
TagValue = Annotated[str, Field(pattern=_TAG, max_length=256)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
RetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731]
ToolType = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
