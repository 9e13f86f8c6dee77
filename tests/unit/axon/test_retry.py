from itertools import islice

from axon.retry import pauses


def test_pauses_stay_below_a_bound_that_doubles() -> None:
    bounds = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for _ in range(50):
        drawn = list(islice(pauses(first_s=0.05, most_s=1.0), len(bounds)))
        assert all(0 <= pause <= bound for pause, bound in zip(drawn, bounds, strict=True))


def test_pauses_are_random() -> None:
    assert len({next(pauses()) for _ in range(20)}) > 1
