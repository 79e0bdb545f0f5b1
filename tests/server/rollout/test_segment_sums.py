"""The tables of segments of all processes, while processes end and begin."""

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.process_figures import parse
from penstock.server.control.coordination.segment_sums import SegmentSums
from penstock.server.rollout.rollout import begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.segment_counts import SegmentCounts, grown
from penstock.server.rollout.segment_table import BLOCKS, SegmentTable

FIELDS = ("country",)
ROLLOUT = begin(
    "m-1", Kind.CANARY, "m", (1, 2), "sha256:2", RolloutSpec(segments=FIELDS), "ann", now=0.0
)


class Process:
    def __init__(self, name):
        self.name = name
        self.counters = CounterFile.anonymous()
        self.table = SegmentTable(self.counters.model("m", "2").segments(BLOCKS), "m-1", FIELDS)

    def count(self, stable=(0, 0), canary=(0, 0)):
        for in_canary, (answered, failed) in enumerate((stable, canary)):
            for number in range(answered + failed):
                self.table.count(0, "CH", canary=bool(in_canary), failed=number >= answered)

    @property
    def figures(self):
        return parse(self.counters.data(), self.name, live=True)


def test_what_a_dead_process_counted_is_not_taken_off_what_the_others_count():
    sums, first, second = SegmentSums(), Process("first"), Process("second")
    first.count(stable=(1, 3), canary=(2, 0))
    before = sums.of([first.figures, second.figures], ROLLOUT)
    second.count(stable=(9, 3), canary=(4, 1))  # in every figure as many as the dead one, or more
    now = sums.of([second.figures], ROLLOUT)
    assert grown(before, now) == {"country=CH": SegmentCounts(12, 3, 5, 1)}


def test_one_that_is_away_for_a_while_counts_once_and_any_number_of_dead_ones_is_kept():
    sums, first = SegmentSums(), Process("first")
    first.count(canary=(2, 0))
    assert sums.of([first.figures], ROLLOUT)["country=CH"].canary == 2
    for number in range(40):
        other = Process(f"other-{number}")
        other.count(canary=(1, 0))
        found = sums.of([other.figures, *([first.figures] if number % 8 == 0 else [])], ROLLOUT)
        assert found["country=CH"].canary == 3 + number
    assert len(sums._tables["m-1"]) < 20
    sums.forget(())
    assert not sums._tables
