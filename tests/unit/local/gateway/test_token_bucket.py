from local.gateway.token_bucket import TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_token_bucket_allows_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(rate=8, burst=3, clock=clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.25
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.now += 0.125
    assert bucket.take()


def test_token_bucket_saves_no_more_than_the_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(rate=10, burst=2, clock=clock)
    clock.now += 1000
    assert [bucket.take() for _ in range(3)] == [True, True, False]
