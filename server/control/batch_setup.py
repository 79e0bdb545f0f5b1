"""Builds what runs batch jobs."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.server.batch_queue.child import order_of
from penstock.server.batch_queue.queue import JobQueue
from penstock.server.batch_queue.record_files import DIRECTORY, RecordFiles
from penstock.server.batch_queue.runner import BatchRunner
from penstock.server.control.api.batch_metrics import BatchMetrics
from penstock.server.control.api.batches_api import BatchesApi
from penstock.server.processes.state_directory import TOKEN_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.app import AdminApp
    from penstock.server.control.coordination.coordinator import Coordinator


class Batches:
    """All batch jobs of the control process.

    Args:
        config: Configuration of the server.
        coordinator: Knows the models, and keeps the audit log.
        url: Of the prediction port, as a client on this machine reaches it.
        clock: Unix seconds.

    Attributes:
        metrics: Of the jobs.
    """

    def __init__(
        self,
        config: ServerConfig,
        coordinator: Coordinator,
        url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        assert config.state_dir is not None
        files = RecordFiles(config.state_dir / DIRECTORY)
        queue = JobQueue(files, config.batch_queue, clock)
        self._runner: BatchRunner | None = None
        root = None if config.batch_root is None else config.batch_root.absolute()
        if root is not None:
            token = config.state_dir / TOKEN_FILE if config.require_predict_token else None
            order = partial(
                order_of,
                root=root,
                url=url,
                certificate=config.ssl_certfile,
                token=token,
                idle=config.batch_priority == "idle",
            )
            self._runner = BatchRunner(queue, root, config.batch_jobs, order, self._ended, clock)
        self._api = BatchesApi(coordinator, queue, self._runner, root, clock)
        self.metrics = BatchMetrics(queue)

    def attach(self, app: AdminApp) -> None:
        """Have the app run the jobs."""
        if self._runner is not None:
            app.works["running batches"] = self._runner.run

    def handlers(self) -> dict[Any, Any]:
        """The endpoints, with their handlers."""
        return self._api.handlers()

    def _ended(self, record: Any) -> None:
        self._api.ended(record)
