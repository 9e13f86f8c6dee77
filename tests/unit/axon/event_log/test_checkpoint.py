import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState


@pytest.mark.parametrize("tail", TailState)
def test_checkpoint_is_equal_after_decoding(tail: TailState) -> None:
    checkpoint = DeliveryCheckpoint(41, tail)
    assert DeliveryCheckpoint.decode(checkpoint.encode()) == checkpoint


@pytest.mark.parametrize(
    ("data", "number"), [(b"8~", 8), (b"8!2", 8), (b"12 later", 12), (b"", 0), (b"?8", 0)]
)
def test_checkpoint_that_a_newer_version_wrote_is_in_doubt(data: bytes, number: int) -> None:
    assert DeliveryCheckpoint.decode(data) == DeliveryCheckpoint(number, TailState.IN_DOUBT)
