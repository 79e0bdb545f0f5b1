"""Labelled predictions of a retraining in a bucket."""

from __future__ import annotations

import hashlib

import numpy as np

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.retrain.export_order import ExportOrder
from penstock.server.retrain.export_process import run_export

NOW = 1_700_000_000.0


def test_they_are_uploaded_whole_by_another_process(bucket, url, tmp_path):
    store = FeedbackStore(tmp_path, lambda *_: FeedbackOptions(), lambda *_: None, 1000, 30.0)
    outputs = (("y",), [np.array([1])])
    sample = BatchSample("m", "1", NOW, [b"a"], [0, 1], [200], [0.1], (), [], *outputs, [NOW])
    store.take([sample])
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    store.close()
    data = run_export(ExportOrder(str(tmp_path), "m", 0.0, f"{url}/training", "m-1.csv"))
    assert data.uri == f"{url}/training/m/m-1.csv"
    (content,) = (one for path, one in bucket.objects.items() if path.endswith("m/m-1.csv"))
    assert hashlib.sha256(content).hexdigest() == data.sha256
    assert data.rows == 1
