from pathlib import Path

from local.supervision.log_rotation import rotate


def test_rotate_leaves_a_small_log(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    log.write_text("x" * 10)
    rotate(log, limit=10)
    assert log.read_text() == "x" * 10
    assert list(tmp_path.iterdir()) == [log]


def test_rotate_moves_a_large_log_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    with log.open("a") as writer:
        writer.write("x" * 11)
        writer.flush()
        rotate(log, limit=10)
        writer.write("later")
    assert log.read_text() == "later"
    assert (tmp_path / "worker-0.log.1").read_text() == "x" * 11
