"""One incarnation of a runner, without a server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.server.shadow.messages import Order
from penstock.server.shadow.runner_process import RunnerProcess


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_runner_that_gets_no_order_is_ended_and_leaves_no_descriptor() -> None:
    order: Any = Order("", b"", {"cannot be packed": object()})

    async def live() -> None:
        before = descriptors()
        with pytest.raises(TypeError):
            async with RunnerProcess(order, time.monotonic):
                pass
        limit = time.monotonic() + 60
        while descriptors() > before:
            assert time.monotonic() < limit
            await asyncio.sleep(0.01)

    asyncio.run(live())
