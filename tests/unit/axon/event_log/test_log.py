from axon.event_log.log import Status


def test_status_is_terminal_unless_queued_or_in_progress() -> None:
    assert {status for status in Status if not status.terminal} == {
        Status.QUEUED,
        Status.IN_PROGRESS,
    }
