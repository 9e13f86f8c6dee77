import signal

from local.supervision.program_runner import how_it_ended


def test_exit_code_is_described_by_its_signal_or_number() -> None:
    assert how_it_ended(-signal.SIGKILL) == "was killed by SIGKILL"
    assert how_it_ended(3) == "ended by itself with exit code 3"
