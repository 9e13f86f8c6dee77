import pytest

from axon.tenants.wrong_keys import subscriber_of


@pytest.mark.parametrize(
    ("source_ip", "subscriber"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", None),
        ("unknown", None),
        ("192.0.2.7, 198.51.100.1", None),
    ],
)
def test_wrong_keys_are_counted_by_subscriber(source_ip: str, subscriber: str | None) -> None:
    assert subscriber_of(source_ip) == subscriber
