"""Fingerprints: functions of two versions recognize the same request."""

from axon.responses.fingerprint import fingerprint
from tests.unit.axon.samples import a_request


def test_fingerprint_counts_a_later_field_only_where_it_is_set() -> None:
    plain = fingerprint(a_request())
    assert fingerprint(a_request(cancel_on_disconnect=None, prompt=None, include=None)) == plain
    assert fingerprint(a_request(cancel_on_disconnect=True)) != plain
    assert fingerprint(a_request(stream_id="s")) == plain
