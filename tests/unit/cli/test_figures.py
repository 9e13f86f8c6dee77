from cli.figures import Figures, Stopwatch, Usage


def test_stopwatch_times_the_first_text_and_the_rate_after_it() -> None:
    times = iter([10.0, 10.25, 11.0, 12.25])
    watch = Stopwatch(now=lambda: next(times))
    for _ in range(3):
        watch.text()
    figures = watch.figures(Usage(input=5, output=21, cached=3))
    assert figures.rate == 10
    assert str(figures) == "21 tokens, 5 in (3 cached), first after 250 ms, 10 tokens/s"


def test_figures_leave_out_what_is_not_known() -> None:
    assert str(Figures()) == ""
    assert str(Stopwatch().figures(Usage(input=1, output=0))) == "0 tokens, 1 in"
    one = Figures(usage=Usage(input=1, output=1), first_s=1.5, generation_s=0.0)
    assert str(one) == "1 tokens, 1 in, first after 1.5 s"
