from pathlib import Path

from benchmarks.peers import axon_roots


def test_axon_roots_are_named_by_their_pid_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name, pid in {"worker-0": 11, "relay-0": 12, "lambda": 13, "lambda-respond": 14}.items():
        (run / f"{name}.pid").write_text(f"{pid}\n")
    (run / "endpoints.json").write_text("{}")
    assert axon_roots(tmp_path, 10) == {
        10: "supervisor",
        11: "worker-0",
        12: "relay-0",
        13: "lambda",
        14: "lambda",
    }


def test_axon_roots_keep_the_supervisors_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "axon.pid").write_text("10")
    assert axon_roots(tmp_path, 10) == {10: "supervisor"}
