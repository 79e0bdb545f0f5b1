from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.shadow_metrics import shadows


def samples(counters):
    return {
        (sample.name, sample.labels["version"]): sample.value
        for family in shadows(snapshot(counters))
        for sample in family.samples
    }


def test_only_versions_that_were_a_shadow_have_series():
    counters = CounterFile.anonymous()
    counters.model("m", "1").observe_batch(1, 1)
    assert samples(counters) == {}
    counters.model("m", "2").add(layout.SHADOW_COPIED, 3)
    assert {version for _, version in samples(counters)} == {"2"}


def test_each_figure_is_told_by_its_name_and_the_ratio_where_there_is_one():
    counters = CounterFile.anonymous()
    shadow = counters.model("m", "2")
    for number, slot in enumerate(
        range(layout.SHADOW_COPIED, layout.PRIMARY_CPU_NANOSECONDS), start=1
    ):
        shadow.add(slot, number)
    found = samples(counters)
    assert ("penstock_shadow_cpu_ratio", "2") not in found
    shadow.add(layout.PRIMARY_CPU_NANOSECONDS, 4)
    assert samples(counters) == found | {("penstock_shadow_cpu_ratio", "2"): 2.0}
    assert found == {
        (f"penstock_shadow_{name}_total", "2"): value
        for name, value in {
            "copied": 1,
            "dropped": 2,
            "dropped_rows": 3,
            "pairs": 4,
            "disagreements": 5,
            "errors": 6,
            "invalid": 7,
        }.items()
    }
