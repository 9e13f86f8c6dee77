import time
import uuid

import pytest

from axon.ids import derived_id, is_id, new_id, same_id


def test_new_id_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(new_id("resp").removeprefix("resp_"))
    after = time.time_ns() // 1_000_000
    assert value.variant == uuid.RFC_4122
    assert value.version == 7
    assert before <= value.int >> 80 <= after


def test_new_ids_differ() -> None:
    assert len({new_id("resp") for _ in range(1000)}) == 1000


def test_new_ids_sort_by_time() -> None:
    first = new_id("resp")
    moment = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == moment:
        pass
    assert first < new_id("resp")


def test_same_id_has_another_prefix() -> None:
    assert same_id("msg", "resp_0123") == "msg_0123"


def test_is_id_accepts_a_new_id() -> None:
    assert is_id("resp", new_id("resp"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "resp_",
        "resp_1",
        "msg_" + "0" * 32,
        "resp_" + "0" * 31,
        "resp_" + "0" * 33,
        "resp_" + "G" * 32,
        "resp_" + "0" * 31 + "\x00",
        "resp_" + "0" * 32 + "\n",
        "resp_" + "0" * 32 + ":events",
        "xresp_" + "0" * 32,
    ],
)
def test_is_id_refuses_anything_else(value: str) -> None:
    assert not is_id("resp", value)


def test_derived_id_is_the_same_in_every_attempt_and_another_one_per_index() -> None:
    response_id = new_id("resp")
    derived = [derived_id("msg", response_id, index) for index in range(4)]
    assert derived == [derived_id("msg", response_id, index) for index in range(4)]
    assert derived[0] == same_id("msg", response_id)
    assert len(set(derived)) == 4
    assert all(is_id("msg", made) for made in derived)
