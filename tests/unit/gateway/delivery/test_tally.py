"""Answers that are kept until somebody looks: then all are counted, as if each had been at once."""

from gateway.delivery import metrics
from gateway.delivery.metrics import MOST, Tally

TIMES = (0.001, 0.003, 0.004, 0.2, 99.0)


def figures(zone):
    """Return what is told of a zone's answers, without its name."""
    return {
        (sample.name, sample.labels.get("le"), sample.labels.get("status")): sample.value
        for metric in metrics.REGISTRY.collect()
        for sample in metric.samples
        if sample.labels.get("zone") == zone and not sample.name.endswith("_created")
    }


def test_what_is_told_is_what_counting_at_once_would_tell():
    tally = Tally("kept", 206, "hit")
    requests, sent, seconds = metrics.of_answers("at-once", 206, "hit")
    for number, took in enumerate(TIMES):
        tally.count(number, took)
        requests.inc()
        sent.inc(number)
        seconds.observe(took)

    told = figures("kept")

    assert told == figures("at-once")
    assert told["headgate_delivery_requests_total", None, "206"] == len(TIMES)
    assert figures("kept") == told


def test_no_more_than_so_many_are_kept():
    """Where nobody looks."""
    tally = Tally("many", 200, "hit")
    for _ in range(MOST):
        tally.count(1, 0.5)

    assert metrics.of_answers("many", 200, "hit")[0]._value.get() == MOST
