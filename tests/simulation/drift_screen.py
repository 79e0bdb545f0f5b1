"""Many windows of normal features at once: which of them the drift rule could flag.

Counts are drawn for the bins of a real baseline. Statistic, PSI and procedure are those of
`comparison` and `rule` over arrays, a little more generous; what passes goes through the real code,
and a test shows that nothing is flagged that did not pass.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

GENEROUS = 1.02
PSI_SLACK = 0.01


def draw_counts(rng, references, rows, windows, shift=0.0):
    """Counts of each feature in each window: windows x features x bins."""
    drawn = []
    for reference in references.values():
        edges = np.array([-np.inf, *reference.bins.edges, np.inf])
        chances = np.diff(stats.norm.cdf(edges - shift))
        counts = np.zeros((windows, reference.bins.size), np.int64)
        counts[:, : chances.size] = rng.multinomial(rows, chances, windows)
        drawn.append(counts)
    return np.stack(drawn, axis=1)


def may_be_flagged(references, counts, options):
    """Numbers of the windows that the rule could flag."""
    before = np.stack([one.counts for one in references.values()])
    outputs = np.array([one.output for one in references.values()])
    p, psi = _figures(before, counts)
    kept = np.zeros(p.shape, bool)
    for group in (outputs, ~outputs):
        if group.any():
            rate = GENEROUS * options.false_alarm_rate / len(set(outputs.tolist()))
            kept[:, group] = _kept(p[:, group], rate)
    return np.flatnonzero((kept & (psi > options.psi_warn - PSI_SLACK)).any(axis=1))


def _figures(before, counts):
    """p-value and corrected PSI of each feature in each window.

    The ten inner bins are by themselves, all else is the rest, as they are below 5,000 rows.
    """
    reference, rows = before.sum(axis=1), counts.sum(axis=2)
    inner = slice(1, 11)
    b, n = before[None, :, inner], counts[:, :, inner]
    rest_before = reference[None] - b.sum(axis=2)
    rest = rows - n.sum(axis=2)
    b_all, n_all = b.sum(axis=2), n.sum(axis=2)
    statistic = ((n * b_all[..., None] - b * n_all[..., None]) ** 2 / (b + n)).sum(axis=2)
    main = stats.chi2.sf(statistic / (b_all * n_all), 9)
    share = rows / (reference[None] + rows)
    together = rest + rest_before
    tail = np.where(rest > 0, stats.binom.sf(rest - 1, together, share), 1.0)
    p = np.where(tail >= 1.0, main, np.minimum(1.0, 2 * np.minimum(main, tail)))
    some = (together > 0).astype(float)
    groups = 10 + some
    weight = 0.5 * groups
    psi = np.zeros(p.shape)
    pairs = [(b[..., place], n[..., place], 1.0) for place in range(10)]
    for old, new, there in (*pairs, (rest_before, rest, some)):
        r = (old + 0.5) / (reference[None] + weight)
        c = (new + weight * r) / (rows + weight)
        psi += there * (c - r) * np.log(c / r)
    effective = reference[None] * rows / (reference[None] + rows)
    return p, psi - (9 + np.minimum(1.0, together * share)) / effective


def _kept(p, rate):
    """Benjamini and Hochberg, a row at a time."""
    number = p.shape[1]
    ranked = np.sort(p, axis=1)
    below = ranked <= rate * np.arange(1, number + 1) / number
    limit = np.where(below, ranked, -1.0).max(axis=1)
    return p <= limit[:, None]
