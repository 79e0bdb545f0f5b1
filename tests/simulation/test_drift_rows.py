"""The drift monitor on whole rows, all of it through `assess`.

Relations that are lost, floods, retries, columns that only grow. The figures of `docs/trust.md` are
made by these tests.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from penstock.monitoring.drift import assess
from penstock.monitoring.drift.learning import number_reference
from penstock.monitoring.drift.relations import Relations
from penstock.monitoring.drift.row_history import RELATIONS
from penstock.monitoring.drift.row_sample import Cells, RowSample
from penstock.monitoring.drift.rows import Rows

ROWS, BASE = 500, 10_000
DATA = Path(__file__).parents[2] / "examples" / "data"
LETTERS = np.array(list("abcd"), object)


def level_of(verdict):
    return verdict.findings[RELATIONS]["level"] if RELATIONS in verdict.findings else "clean"


def changed(verdict):
    return any(one["level"] != "clean" for one in verdict.findings.values())


def numbers(rng, rows, columns=20):
    """Independent, but for the first two."""
    found = rng.standard_normal((columns, rows))
    found[1] = 0.8 * found[0] + 0.6 * found[1]
    return {f"x{place}": one for place, one in enumerate(found)}


def factor(rng, rows):
    """Twenty columns that all depend on one figure."""
    found = 0.7 * rng.standard_normal(rows) + 0.7 * rng.standard_normal((20, rows))
    return {f"x{place}": one for place, one in enumerate(found)}


def mixed(rng, rows):
    """Texts, ties, missing and infinite values, a constant."""
    figure = rng.standard_normal(rows)
    plan = LETTERS[np.clip(np.floor(figure + 2), 0, 3).astype(int)]
    currency = np.where(rng.random(rows) < 0.9, plan, LETTERS[rng.integers(0, 4, rows)])
    price = figure + 0.3 * rng.standard_normal(rows)
    price[0] = np.inf
    income = figure + 0.5 * rng.standard_normal(rows)
    income[rng.random(rows) < 0.2] = np.nan
    tied = np.round(figure + 0.5 * rng.standard_normal(rows))
    columns = {"price": price, "plan": plan, "currency": currency, "tied": tied}
    return {**columns, "income": income, "constant": np.ones(rows)}


def bent(rng, rows):
    x = rng.standard_normal(rows)
    return {"x": x, "y": np.abs(x) + 0.2 * rng.standard_normal(rows)}


def two(rng, rows):
    return numbers(rng, rows, 2)


def many(rng, rows):
    return numbers(rng, rows, 200)


@pytest.mark.parametrize(
    ("make", "column"),
    [
        (two, "x1"), (numbers, "x1"), (many, "x1"), (factor, "x3"), (bent, "y"),
        (mixed, "price"), (mixed, "plan"), (mixed, "currency"), (mixed, "tied"), (mixed, "income"),
    ],
)  # fmt: skip
def test_a_relation_that_is_lost_is_named_in_one_window(make, column):
    """The column keeps its values: they belong to other rows."""
    rng = np.random.default_rng(1)
    windows = [make(rng, ROWS) for _ in range(3 if make is many else 20)]
    for one in windows:
        one[column] = rng.permutation(one[column])
    verdicts = assess(make(rng, BASE), windows).verdicts
    named = [one for one in verdicts if level_of(one) != "clean"]
    named = [one for one in named if column in one.findings[RELATIONS]["columns"]]
    assert len(named) >= 0.9 * len(verdicts)


def rows_of(rng, table, rows):
    """Rows of a real table, each value moved by a little, so that rows are not equal."""
    picked = rng.integers(0, len(next(iter(table.values()))), rows)
    noise = {name: 0.05 * one.std() * rng.standard_normal(rows) for name, one in table.items()}
    return {name: one[picked] + noise[name] for name, one in table.items()}


@pytest.mark.parametrize(
    ("file", "column"),
    [("wine", "flavanoids"), ("wine", "alcohol"), ("diabetes", "s1"), ("diabetes", "s3")],
)
@pytest.mark.parametrize("seed", [101, 202])
def test_a_relation_that_is_lost_in_a_real_table_is_named_and_no_other_is(file, column, seed):
    with (DATA / f"{file}.csv").open() as opened:
        names, *found = csv.reader(opened)
    table = {
        name: np.array([float(row[place]) for row in found])
        for place, name in enumerate(names[:-1])
    }
    rng = np.random.default_rng(seed)
    windows = [rows_of(rng, table, ROWS) for _ in range(20)]
    for one in windows[:10]:
        one[column] = rng.permutation(one[column])
    verdicts = assess(rows_of(rng, table, BASE), windows).verdicts
    named = [one for one in verdicts if level_of(one) != "clean"]
    assert [one for one in named if one in verdicts[10:]] == []
    assert sum(column in one.findings[RELATIONS]["columns"] for one in named) >= 9


def test_what_a_window_says_of_a_relation():
    rng = np.random.default_rng(2)
    lost = [numbers(rng, ROWS, 5) for _ in range(3)]
    for one in lost:
        one["x1"] = rng.permutation(one["x1"])
    found = assess(numbers(rng, BASE, 5), [*lost, *(numbers(rng, ROWS, 5) for _ in range(3))])
    (incident,) = found.incidents
    assert incident.features == ("the relation between x0 and x1",)
    assert (incident.opened, incident.closed) == (0, 5)
    before, now = found.verdicts[0].findings[RELATIONS]["correlations"]
    assert before == pytest.approx(0.8, abs=0.03)
    assert now == pytest.approx(0.0, abs=0.15)


def test_a_column_that_moves_keeps_its_relations():
    """Shifted, stretched, bent: the column has changed, and no relation has."""
    rng = np.random.default_rng(3)
    windows = [numbers(rng, ROWS, 5) for _ in range(30)]
    for one in windows:
        one["x1"] = np.exp(one["x1"] + 3)
    verdicts = assess(numbers(rng, BASE, 5), windows).verdicts
    assert all(one.findings["x1"]["level"] == "critical" for one in verdicts)
    assert [one for one in verdicts if level_of(one) != "clean"] == []


def remembering(rng, rows, columns):
    """Columns whose rows are as those before: AR(1) of 0.95, from a start of its own."""
    found = rng.standard_normal((columns, rows)) * np.sqrt(1 - 0.95**2)
    found[:, 0] /= np.sqrt(1 - 0.95**2)
    for row in range(1, rows):
        found[:, row] += 0.95 * found[:, row - 1]
    return found


@pytest.mark.parametrize("kind", ["independent", "heavy tails", "rows that remember"])
@pytest.mark.parametrize(("columns", "learnt"), [(2, 8), (8, 20), (8, 80)])
def test_relations_that_do_not_change_are_left_alone(kind, columns, learnt):
    """At ten times the rate of the rule, so that there is something to count."""
    rng = np.random.default_rng([columns, learnt])
    reference = number_reference(rng.standard_normal(1000))

    def sample():
        if kind == "rows that remember":
            values = remembering(rng, 200, columns)
        else:
            values = rng.standard_normal((columns, 200))
        values[1] += 0.8 * values[0]
        if kind == "heavy tails":
            values = np.sinh(2 * values)
        found = RowSample()
        found.take([Cells(f"x{place}", reference, one) for place, one in enumerate(values)])
        return found

    hits = looks = 0
    for _ in range(160 // learnt):
        relations = Relations()
        for _ in range(learnt):
            relations.learn(sample(), 0.0, 0.0)
        for _ in range(20 if columns == 2 else 40):
            hits += relations.look(sample(), 0.001, ()).p <= 0.01
            looks += 1
    assert stats.binomtest(hits, looks, 0.01, alternative="greater").pvalue > 0.001, (hits, looks)


def flooded(rng, share):
    """Rows of which a share is one and the same."""
    one = numbers(rng, ROWS, 6)
    number = int(share * ROWS)
    for place, values in enumerate(one.values()):
        values[:number] = 1.3 * place - 2
    order = rng.permutation(ROWS)
    return {name: values[order] for name, values in one.items()}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.85])
def test_a_client_that_sends_one_row_again_and_again_is_named_and_opens_nothing(share):
    rng = np.random.default_rng(4)
    found = assess(numbers(rng, BASE, 6), [flooded(rng, share) for _ in range(50)])
    assert found.incidents == []
    assert sum(map(changed, found.verdicts)) <= 2
    for one in found.verdicts:
        assert one.notes["repeats"]["often"] == pytest.approx(share, abs=0.01)
        assert one.notes["repeats"]["share"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("times", [2, 3, 5])
def test_rows_that_are_all_repeated_open_nothing(times):
    """One window of a baseline each: an unlucky baseline would be unlucky in all windows."""
    hits = 0
    for seed in range(50):
        rng = np.random.default_rng([times, seed])
        rows = numbers(rng, ROWS // times + 1, 6)
        window = {name: np.repeat(one, times)[:ROWS] for name, one in rows.items()}
        found = assess(numbers(rng, 3000, 6), [window])
        assert found.incidents == []
        hits += changed(found.verdicts[0])
        assert found.verdicts[0].notes["repeats"]["share"] == pytest.approx(1 - 1 / times, abs=0.01)
    assert hits <= 3


def test_a_flood_hides_no_drift():
    rng = np.random.default_rng(5)
    windows = [flooded(rng, 0.3) for _ in range(10)]
    for one in windows:
        one["x2"] = one["x2"] + 1
    (incident,) = assess(numbers(rng, BASE, 6), windows).incidents
    assert incident.features == ("x2",)


def test_a_value_of_the_only_column_that_is_stuck_has_changed():
    rng = np.random.default_rng(6)
    windows = []
    for _ in range(50):
        values = rng.standard_normal(ROWS)
        values[: ROWS // 10] = 0.3
        windows.append({"x": rng.permutation(values)})
    verdicts = assess({"x": rng.standard_normal(BASE)}, windows).verdicts
    assert sum(map(changed, verdicts)) >= 0.9 * len(verdicts)


def by_clients(rng, shares):
    """Rows of five clients, and of one more with another population.

    Args:
        shares: Of the one more, in each window; beside the rows of the others.
    """
    for share in shares:
        mine = round(ROWS * share / (1 - share))
        columns = {f"x{place}": rng.standard_normal(ROWS + mine) for place in range(6)}
        for one in columns.values():
            one[ROWS:] += 1.5
        columns["x3"][ROWS:] = columns["x2"][ROWS:]
        clients = [f"10.0.0.{one}" for one in rng.integers(1, 6, ROWS)] + ["10.0.9.9"] * mine
        order = rng.permutation(ROWS + mine)
        yield {name: one[order] for name, one in columns.items()}, [clients[one] for one in order]


def hours_of_clients(rng, shares, shift=0.0):
    for hour, (columns, clients) in enumerate(by_clients(rng, shares)):
        columns["x2"] = columns["x2"] + shift * (hour >= 3)
        yield Rows(columns, hour * 3600.0, (hour + 1) * 3600.0, clients)


def baseline_of_clients(rng):
    return {f"x{place}": one for place, one in enumerate(rng.standard_normal((6, BASE)))}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_client_that_floods_with_other_rows_is_named_and_opens_nothing(share):
    rng = np.random.default_rng([10, round(100 * share)])
    windows = list(hours_of_clients(rng, [0.0] * 3 + [share] * 60))
    found = assess(baseline_of_clients(rng), windows)
    assert found.incidents == []
    assert sum(map(changed, found.verdicts)) <= 3
    assert [one.notes for one in found.verdicts[:3]] == [{}] * 3
    for one in found.verdicts[3:]:
        assert one.notes["flood"]["client"] == "10.0.9.9"
        assert one.notes["flood"]["share"] == pytest.approx(share, abs=0.01)
    unknown = [replace(one, clients=None) for one in windows[:10]]
    assert assess(baseline_of_clients(rng), unknown).incidents != [], "it looks like drift"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
def test_a_client_that_floods_from_the_first_window_is_named_and_opens_nothing(share):
    rng = np.random.default_rng([13, round(100 * share)])
    windows = list(hours_of_clients(rng, [share] * 15))
    found = assess(baseline_of_clients(rng), windows)
    assert found.incidents == []
    for one in found.verdicts:
        assert one.notes["flood"]["client"] == "10.0.9.9"
        assert one.notes["flood"]["share"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("shift", "incidents"), [(0.0, {0}), (0.3, {*range(11)}), (0.6, {10})])
def test_the_largest_client_of_a_first_window_is_no_flood_if_all_change_alike(shift, incidents):
    """Two fifths of the rows are one client's from the first window on."""
    named, opened = 0, 0
    for seed in range(10):
        rng = np.random.default_rng([14, seed])
        windows = []
        for hour in range(4):
            columns = {f"x{place}": rng.standard_normal(ROWS) for place in range(6)}
            columns["x2"] += shift
            clients = np.where(rng.random(ROWS) < 0.4, 9, rng.integers(0, 5, ROWS))
            senders = [f"10.0.0.{one}" for one in clients.tolist()]
            windows.append(Rows(columns, hour * 3600.0, (hour + 1) * 3600.0, senders))
        found = assess(baseline_of_clients(rng), windows)
        named += any("flood" in one.notes for one in found.verdicts)
        opened += len(found.incidents) > 0
    assert named <= 1
    assert opened in incidents


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_two_clients_that_flood_at_once_are_named_and_open_nothing(share):
    """Each has this share of the rows; one moves all features up, the other down."""
    rng, windows = np.random.default_rng([12, round(100 * share)]), []
    for hour in range(18):
        mine = round(ROWS * share / (1 - 2 * share)) * (hour >= 3)
        columns = {f"x{place}": rng.standard_normal(ROWS + 2 * mine) for place in range(6)}
        for place, one in enumerate(columns.values()):
            one[ROWS : ROWS + mine] += 1.5
            one[ROWS + mine :] -= 1.0 + 0.2 * place
        clients = [f"10.0.0.{one}" for one in rng.integers(1, 6, ROWS)]
        clients += ["10.0.9.8"] * mine + ["10.0.9.9"] * mine
        windows.append(Rows(columns, hour * 3600.0, (hour + 1) * 3600.0, clients))
    found = assess(baseline_of_clients(rng), windows)
    assert found.incidents == []
    assert sum(map(changed, found.verdicts)) <= 2
    for one in found.verdicts[3:]:
        assert set(one.notes["flood"]["clients"]) == {"10.0.9.8", "10.0.9.9"}
        assert one.notes["flood"]["share"] == pytest.approx(2 * share, abs=0.01)
    unknown = [replace(one, clients=None) for one in windows]
    assert assess(baseline_of_clients(rng), unknown).incidents != [], "it looks like drift"


def test_a_client_that_floods_hides_no_drift_of_the_others():
    rng = np.random.default_rng(11)
    windows = list(hours_of_clients(rng, [0.0] * 3 + [0.4] * 10, shift=1.0))
    (incident,) = assess(baseline_of_clients(rng), windows).incidents
    assert incident.features == ("x2",)
    assert incident.opened in {3, 4}


def test_clients_that_are_not_one_for_each_row_are_refused():
    rows = Rows({"x": np.zeros(5)}, clients=["a"] * 4)
    with pytest.raises(ValueError, match="window 0: 4 clients, expected one for each row"):
        assess({"x": np.zeros(9)}, [rows])


def few(rng, rows):
    """Rows of few categories repeat by themselves."""
    return {
        "a": rng.choice(LETTERS, rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
        "b": rng.integers(0, 4, rows).astype(float),
    }


def test_rows_of_few_categories_are_no_flood_and_their_drift_is_found():
    rng = np.random.default_rng(7)
    windows = [few(rng, ROWS) for _ in range(20)]
    for one in windows[10:]:
        one["a"][: ROWS // 5] = "d"
    found = assess(few(rng, BASE), windows)
    assert [one.notes for one in found.verdicts] == [{}] * 20
    (incident,) = found.incidents
    assert incident.features[0] == "a"
    assert incident.opened >= 10


def test_a_column_that_only_grows_is_left_out_with_a_note():
    rng = np.random.default_rng(8)
    total = BASE + 20 * ROWS
    columns = {**numbers(rng, total, 3), "id": np.cumsum(rng.integers(1, 9, total)).astype(float)}
    columns["text"] = np.array([f"order-{one}" for one in range(total)], object)
    windows = [
        {name: one[low : low + ROWS] for name, one in columns.items()}
        for low in range(BASE, total, ROWS)
    ]
    found = assess({name: one[:BASE] for name, one in columns.items()}, windows)
    assert found.incidents == []
    assert [one.notes for one in found.verdicts] == [{"growing": ["id", "text"]}] * 20
    assert "id" not in found.verdicts[0].findings


@pytest.mark.parametrize("trend", [0.1, 1.0, 5.0])
def test_a_column_with_a_trend_is_compared(trend):
    """In standard deviations a window: what it is before, and what it is at last."""
    rng = np.random.default_rng(9)
    windows = [numbers(rng, ROWS, 3) for _ in range(20)]
    for place, one in enumerate(windows):
        one["x2"] = one["x2"] + trend * (place + np.arange(ROWS) / ROWS)
    found = assess(numbers(rng, BASE, 3), windows)
    (incident,) = found.incidents
    assert incident.features == ("x2",)
    assert all(one.notes == {} for one in found.verdicts)
