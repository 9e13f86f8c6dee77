import signal

from local.supervision.program_runner import how_it_ended


def test_how_it_ended_names_signal_or_exit_code() -> None:
    assert how_it_ended(-signal.SIGKILL) == "was killed by SIGKILL"
    assert how_it_ended(3) == "ended by itself with exit code 3"
