from io import BytesIO

from local.lambda_service.function_logs import PrefixedLines


def written(*pieces: bytes) -> bytes:
    sink = BytesIO()
    lines = PrefixedLines(prefix="[f] ", sink=sink)
    for piece in pieces:
        lines.feed(piece)
    lines.close()
    return sink.getvalue()


def test_function_log_prefixes_complete_lines() -> None:
    assert written(b"a\nb", b"c\n", b"", b"d") == b"[f] a\n[f] bc\n[f] d\n"


def test_function_log_splits_the_lines_of_a_traceback() -> None:
    assert written(b"[ERROR]\rTraceback\r  line\n") == b"[f] [ERROR]\n[f] Traceback\n[f]   line\n"


def test_function_log_breaks_an_endless_line() -> None:
    assert written(b"x" * 70_000, b"y\n") == b"[f] " + b"x" * 70_000 + b"\n[f] y\n"
