from benchmarks.prometheus import histograms, read_metrics, values

TEXT = """\
# HELP axon_requests_shed_total Jobs.
# TYPE axon_requests_shed_total counter
axon_requests_shed_total{stage="infer",reason="released"} 7.0
axon_requests_shed_total{stage="infer",reason="deadline"} 2.0
axon_requests_shed_total{stage="retrieve",reason="released"} 1.0
# TYPE axon_queue_depth gauge
axon_queue_depth{stage="infer"} 3
axon_queue_depth{stage="post"} 4
"""


def test_values_finds_samples_by_their_labels() -> None:
    metrics = read_metrics(TEXT)
    assert values(metrics, "axon_requests_shed_total", "stage", "reason") == {
        ("infer", "released"): 7.0,
        ("infer", "deadline"): 2.0,
        ("retrieve", "released"): 1.0,
    }
    assert values(metrics, "axon_requests_shed_total", "stage")["infer",] == 9.0
    assert values(metrics, "axon_queue_depth") == {(): 7.0}


def test_values_of_an_unknown_name_are_empty() -> None:
    assert values(read_metrics(TEXT), "axon_other") == {}
    assert histograms(read_metrics(TEXT), "axon_other", "stage") == {}
