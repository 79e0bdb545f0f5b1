"""A job of Dagster that a test starts: it ends as its order says."""

import json

from dagster import Definitions, job, op


@op
def train(context):
    """Fail if the order wants it."""
    if json.loads(context.run.tags["penstock/retraining"])["parameters"].get("fail"):
        raise ValueError("no rows")


@job
def retrain():
    """Its only step."""
    train()


defs = Definitions(jobs=[retrain])
