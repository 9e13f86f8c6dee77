from axon.tenants.process_counts import ENTRIES, AddressLookups, UnknownKeys
from axon.tenants.wrong_keys import BURST, INTERVAL_S
from tests.support import virtual_time


def test_address_lookups_are_a_bucket_of_tokens_for_each_address() -> None:
    async def scenario() -> None:
        lookups = AddressLookups()
        for _ in range(BURST):
            assert lookups.take("192.0.2.1") == 0
        assert 0 < lookups.take("192.0.2.1") <= INTERVAL_S
        assert lookups.take("192.0.2.2") == 0
        lookups.put_back("192.0.2.1")
        assert lookups.take("192.0.2.1") == 0
        virtual_time.pause_process(INTERVAL_S)
        assert lookups.take("192.0.2.1") == 0
        assert lookups.take("192.0.2.1") > 0
        virtual_time.pause_process(1000 * INTERVAL_S)
        for _ in range(10):
            lookups.put_back("192.0.2.1")
        assert [lookups.take("192.0.2.1") > 0 for _ in range(BURST + 1)] == [False] * BURST + [True]

    virtual_time.run(scenario())


def test_unknown_keys_are_bounded_and_the_oldest_go_first() -> None:
    async def scenario() -> None:
        unknown = UnknownKeys()
        for number in range(ENTRIES):
            unknown.note(str(number))
        unknown.note("0")
        unknown.note("one more")
        assert not unknown.has("1")
        assert all(unknown.has(each) for each in ("0", "2", "one more"))
        unknown.forget("one more")
        assert not unknown.has("one more")

    virtual_time.run(scenario())
