"""Many windows of normal features at once: which of them the drift rule could flag.

Counts are drawn for the bins of a real baseline. The tests of `components` and the procedure of
`rule` are written over arrays, roughly and more generous; what passes goes through the real code,
and a test shows that nothing is flagged that did not pass.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from penstock.monitoring.drift.components import NUMBER_SHARES

GENEROUS = 3.0
INNER = slice(1, 21)


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
    p = _p_values(before, counts)
    kept = np.zeros(p.shape, bool)
    for group in (outputs, ~outputs):
        if group.any():
            rate = GENEROUS * options.false_alarm_rate / len(set(outputs.tolist()))
            kept[:, group] = _kept(p[:, group], rate)
    return np.flatnonzero(kept.any(axis=1))


def _p_values(before, counts):
    """The smallest weighed p-value of each feature in each window."""
    reference, rows = before.sum(axis=1), counts.sum(axis=2)
    share = rows / (reference[None] + rows)
    found = {}
    found["all"] = np.minimum(*(_chi_square(before, counts, width) for width in (1, 2)))
    rest = rows - counts[:, :, INNER].sum(axis=2)
    together = rest + reference[None] - before[None, :, INNER].sum(axis=2)
    found["rest"] = np.where(rest > 0, stats.binom.sf(rest - 1, together, share), 1.0)
    found["location"], found["scale"] = _scores(before, counts)
    found["single"] = _single(before, counts)
    smallest = np.min([one / NUMBER_SHARES[name] for name, one in found.items()], axis=0)
    return smallest / (1 - share)


def _chi_square(before, counts, width):
    b = before[None, :, INNER].reshape(1, len(before), -1, width).sum(axis=3)
    n = counts[:, :, INNER].reshape(*counts.shape[:2], -1, width).sum(axis=3)
    b_all, n_all = b.sum(axis=2), n.sum(axis=2)
    square = (n * b_all[..., None] - b * n_all[..., None]) ** 2 / np.maximum(1, b + n)
    return stats.chi2.sf(square.sum(axis=2) / (b_all * n_all), b.shape[2] - 1)


def _scores(before, counts):
    old, new = before[None, :, :-2].astype(float), counts[:, :, :-2].astype(float)
    reference, rows = old.sum(axis=2), new.sum(axis=2)
    together = reference + rows
    weights = (old + new) / together[..., None]
    shift = special.ndtri(np.cumsum(weights, axis=2) - weights / 2)
    shift = np.where(weights > 0, shift, 0.0)
    shift -= (shift * weights).sum(axis=2, keepdims=True)
    spread = shift**2
    spread -= (spread * weights).sum(axis=2, keepdims=True)
    slope = (spread * shift * weights).sum(axis=2) / (shift**2 * weights).sum(axis=2)
    spread -= slope[..., None] * shift
    factor = (together - 1) * rows * reference / together**2
    apart = new / rows[..., None] - old / reference[..., None]
    for scores in (shift, spread):
        value = (scores * apart).sum(axis=2) ** 2 / (scores**2 * weights).sum(axis=2)
        yield stats.chi2.sf(factor * value, 1)


def _single(before, counts):
    old, new = before[None], counts
    reference, rows = old.sum(axis=2, keepdims=True), new.sum(axis=2, keepdims=True)
    both = np.maximum(1, old + new)
    away = (new * reference - old * rows) ** 2 / both / np.maximum(1, reference + rows - both)
    best = away.argmax(axis=2)[..., None]
    old_there = np.take_along_axis(np.broadcast_to(old, new.shape), best, axis=2)[..., 0]
    new_there = np.take_along_axis(new, best, axis=2)[..., 0]
    reference, rows = reference[..., 0], rows[..., 0]
    share = rows / (reference + rows)
    more = new_there * reference >= old_there * rows
    up = special.betainc(np.maximum(new_there, 1), np.maximum(old_there, 0) + 1, share)
    down = special.betainc(np.maximum(old_there, 1), new_there + 1, 1 - share)
    tail = np.where(more, up, down)
    return 2 * (old + new > 0).sum(axis=2) * tail


def _kept(p, rate):
    """Benjamini and Hochberg, a row at a time."""
    number = p.shape[1]
    ranked = np.sort(p, axis=1)
    below = ranked <= rate * np.arange(1, number + 1) / number
    limit = np.where(below, ranked, -1.0).max(axis=1)
    return p <= limit[:, None]
