"""Fingerprints: functions of two versions recognize the same request."""

from axon.protocol.view_requests import ViewRequest
from axon.responses.fingerprint import fingerprint
from tests.unit.axon.samples import a_request


def test_fingerprint_counts_a_later_field_only_where_it_is_set() -> None:
    plain = fingerprint(a_request())
    assert fingerprint(a_request(cancel_on_disconnect=None, prompt=None, include=None)) == plain
    assert fingerprint(a_request(cancel_on_disconnect=True)) != plain
    assert fingerprint(a_request(stream_id="s")) == plain


def test_fingerprint_leaves_out_what_the_api_of_a_request_asks_for() -> None:
    """A front of another version may not ask for it."""
    given = a_request().model_dump(exclude_unset=True)
    asked = fingerprint(ViewRequest(**given, early_usage=True))
    assert asked == fingerprint(ViewRequest(**given)) == fingerprint(a_request())
