"""A deployment of Prefect that a test starts: it ends as its order says."""

import time

from prefect import flow


@flow(name="retrain", retries=0)
def retrain(retraining: dict):
    """Fail if the order wants it."""
    if retraining["parameters"].get("fail"):
        raise ValueError("no rows")
    time.sleep(retraining["parameters"].get("seconds", 0))


if __name__ == "__main__":
    retrain.serve(name="churn", pause_on_shutdown=False)
