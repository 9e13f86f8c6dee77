import pytest

from axon.serialization import dumps, loads


def test_dumps_writes_one_line_of_utf8() -> None:
    assert dumps({"text": "line\nwörld 🌍", "n": 1}) == '{"text":"line\\nwörld 🌍","n":1}'.encode()


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True]}, "\u2028\x00\uffff", 10**30])
def test_loads_reads_what_dumps_wrote(value: object) -> None:
    assert loads(dumps(value)) == value


def test_dumps_writes_null_for_numbers_that_json_cannot_hold() -> None:
    assert dumps(loads('{"a": 1e999}')) == b'{"a":null}'


@pytest.mark.parametrize("text", ["NaN", "Infinity", "{", "", '"\\ud800"'])
def test_loads_refuses_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        loads(text)
