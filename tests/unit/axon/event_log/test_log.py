from axon.event_log.log import Status


def test_what_has_ended() -> None:
    assert {status for status in Status if not status.terminal} == {
        Status.QUEUED,
        Status.IN_PROGRESS,
    }
