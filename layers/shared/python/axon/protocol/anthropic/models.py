"""``GET /v1/models`` as Anthropic's API answers it."""

from collections.abc import Sequence

from axon.exceptions import RequestError
from axon.protocol.objects import Json

LIMIT = 20
"""Models of a page, unless the request says how many (Anthropic's API)."""
MOST = 1000
"""Most models of a page (Anthropic's API)."""
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""The beginning of the Unix epoch, which stands for a date that is not known (Anthropic's API)."""


def model_object(model: str) -> Json:
    """Return a model as the API shows it."""
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": _UNKNOWN_DATE,
        "lifecycle": "active",
    }


def model_page(
    models: Sequence[str],
    *,
    limit: int = LIMIT,
    after_id: str | None = None,
    before_id: str | None = None,
) -> Json:
    """Return a page of models.

    Parameters
    ----------
    models : Sequence[str]
        The names of all models, in an order that stays the same.
    limit : int
        Most models of the page, 1 at least.
    after_id, before_id : str | None
        The last model of the page before, or the first of the page after; None for none.

    Raises
    ------
    RequestError
        Both models are given, or there is no such model.
    """
    if after_id and before_id:
        raise _refusal("before_id", "cannot stand beside 'after_id'; leave one out")
    for name, given in (("after_id", after_id), ("before_id", before_id)):
        if given and given not in models:
            raise _refusal(name, "is the id of no model; begin with the first page")
    if before_id:
        found = models[: models.index(before_id)]
        page, more = found[-limit:], len(found) > limit
    else:
        found = models[models.index(after_id) + 1 :] if after_id else models
        page, more = found[:limit], len(found) > limit
    return {
        "data": [model_object(model) for model in page],
        "has_more": more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _refusal(param: str, what: str) -> RequestError:
    return RequestError(f"'{param}' {what}.", code="invalid_value", param=param)
