"""Pages of items, as queries ask for them."""

from multidict import MultiMapping

from axon.protocol.item_pages import ItemPage
from front.operations.responses import AFTER, INCLUDE, LIMIT, ORDER


def page_of(query: MultiMapping[str]) -> ItemPage:
    """Return the page that a query asks for.

    Raises
    ------
    RequestError
        A parameter has a value that it cannot have.
    """
    INCLUDE.check(query)
    return ItemPage(
        limit=LIMIT.of(query), newest_first=ORDER.of(query) == "desc", after=AFTER.of(query)
    )
