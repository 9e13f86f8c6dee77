"""Permissions and addresses, given together: no process holds one without the other.

A construct or a stack that owns a resource makes its `Grant`; `grant` hands them to a process.
So this module knows none of them, and constructs need not know the stacks that they end up in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_iam as iam

from axon.catalog import Resource


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """The way to let a process use one resource.

    Attributes
    ----------
    permit : Callable[[iam.IGrantable], object]
        Adds the permission to the role of a function or a task.
    variables : Mapping[str, str]
        Environment variables with the resource's address.
    """

    permit: Callable[[iam.IGrantable], object]
    variables: Mapping[str, str]


Grants = Mapping[Resource, Grant]
"""The resources of an environment that can be granted so far."""


def grant(grantee: iam.IGrantable, uses: Iterable[Resource], *, grants: Grants) -> dict[str, str]:
    """Permit a function or a task to use resources.

    Parameters
    ----------
    grantee : iam.IGrantable
        The function, or the role of the task.
    uses : Iterable[Resource]
        The resources, as the catalog lists them.
    grants : Grants
        How each resource is granted, and the variables that name it.

    Returns
    -------
    dict[str, str]
        Environment variables that the process needs to find the resources.

    Raises
    ------
    ValueError
        `grants` lacks one of the resources.
    """
    variables: dict[str, str] = {}
    # Sorted, so that a policy's statements have the same order in every synthesis.
    for resource in sorted(uses, key=lambda each: each.value):
        if resource not in grants:
            raise ValueError(f"nothing grants {resource}")
        grants[resource].permit(grantee)
        variables |= grants[resource].variables
    return variables
