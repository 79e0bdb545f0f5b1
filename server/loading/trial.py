"""The first load of a version happens in a process of its own: a trial.

Native code that loads a model may crash, never come back, or take all memory. In a trial that ends
a process that serves nobody. The process is `penstock.server.loading.trial_process`; it does what
the worker would do, and says how it went. A trial process that has ended a trial well takes the
next one, because its start costs more than most loads. If it crashes in a trial that was not its
first, what came before may be at fault: that trial is made again in a new process.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import python_command
from penstock.server.processes.exits import NATIVE_CRASHES, describe_exit
from penstock.server.processes.process_watch import waited_seconds
from penstock.server.processes.time_limit import MOST_SECONDS, stuck

from .proofs import CRASHED, ERROR, LOADS, REFUSED, TOO_LONG, Proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.config.config import ServerConfig

    from .load_order import LoadOrder, SoundCopy


#: Between two looks at a trial.
_CHECK_SECONDS: Final = 0.1
#: A trial process that is not given another trial ends after so long.
IDLE_SECONDS: Final = 3.0
#: The same of one that was started before there was a trial to make.
EARLY_SECONDS: Final = 20.0
_MAX_ANSWER_BYTES: Final = 1 << 20
_ENDS: Final = (LOADS, REFUSED, ERROR)


@dataclass(eq=False, slots=True)
class _TrialProcess:
    """A process that takes one trial after the other."""

    process: subprocess.Popen[bytes]
    link: Connection
    used: bool = False

    def close(self) -> None:
        """End it."""
        self.link.close()
        self.process.kill()
        self.process.wait()


class Trials:
    """Makes trials. Its methods may be called by several threads at once.

    Args:
        config: Configuration of the server.
        clock: Monotonic seconds, for limits.
        wall_clock: Unix seconds, for the record.
    """

    def __init__(
        self,
        config: ServerConfig,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config.to_json()
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._idle: list[_TrialProcess] = []
        self._busy: set[_TrialProcess] = set()
        self._closed = False

    def make(self, order: LoadOrder, copy: SoundCopy, limit_seconds: float) -> Proof:
        """Load a version in a process of its own. Blocks until that has ended.

        Args:
            order: Order of the load.
            copy: The files.
            limit_seconds: Seconds that it may take; waiting for a processor does not count.

        Returns:
            How it went; a crash and an endless load are answers, too.

        Raises:
            OSError: No process could be started.
        """
        message = pickle.dumps((order, copy))
        while True:
            trial = self._take()
            used, trial.used = trial.used, True
            try:
                proof = self._watch(trial, message, limit_seconds)
            finally:
                self._give_back(trial)
            if proof.end != CRASHED or not used:
                return proof

    def prepare(self) -> None:
        """Start a process for the first trial now: its imports take longer than most loads."""
        with self._lock:
            if self._closed or self._idle or self._busy:
                return
            try:
                self._idle.append(self._start())
            except OSError:
                return  # the first trial says so
        self._reap_after(EARLY_SECONDS)

    def close(self) -> None:
        """End all trial processes; trials that are being made end with them."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = [*self._busy]
        for trial in idle:
            trial.close()
        for trial in busy:  # the thread that watches it sees it end
            trial.process.kill()

    def _take(self) -> _TrialProcess:
        """An idle process that still lives, or a new one."""
        while True:
            with self._lock:
                if self._closed:
                    raise OSError("the server is stopping")
                trial = self._idle.pop() if self._idle else None
                if trial is None:
                    trial = self._start()
                self._busy.add(trial)
            if trial.process.poll() is None:
                return trial
            self._give_back(trial)

    def _start(self) -> _TrialProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                python_command(
                    "-m",
                    "penstock.server.loading.trial_process",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        link = Connection(ours.detach())
        link.send_bytes(self._config.encode())
        # Plug-ins may be where only this process looks: the app that it is a part of has said so.
        link.send_bytes(json.dumps([one for one in sys.path if isinstance(one, str)]).encode())
        return _TrialProcess(process, link)

    def _give_back(self, trial: _TrialProcess) -> None:
        with self._lock:
            self._busy.discard(trial)
            keep = trial.process.poll() is None and not self._closed
            if keep:
                self._idle.append(trial)
        if not keep:
            trial.close()
            return
        self._reap_after(IDLE_SECONDS)

    def _reap_after(self, seconds: float) -> None:
        timer = threading.Timer(seconds + 1, self._reap)
        timer.daemon = True
        timer.start()

    def _reap(self) -> None:
        """Forget idle processes that have ended."""
        with self._lock:
            ended = [trial for trial in self._idle if trial.process.poll() is not None]
            self._idle = [trial for trial in self._idle if trial not in ended]
        for trial in ended:
            trial.close()

    def _watch(self, trial: _TrialProcess, message: bytes, limit_seconds: float) -> Proof:
        pid = trial.process.pid
        spent, seen, waited = 0.0, self._clock(), waited_seconds(pid)
        try:
            trial.link.send_bytes(message)
            while not trial.link.poll(_CHECK_SECONDS):
                now = self._clock()
                spent, seen = spent + min(now - seen, MOST_SECONDS), now
                if stuck(spent, waited_seconds(pid) - waited, limit_seconds):
                    trial.process.kill()
                    return self._proof(TOO_LONG, _endless(limit_seconds), limit_seconds)
            return self._answer(trial.link.recv_bytes(_MAX_ANSWER_BYTES), limit_seconds)
        except (EOFError, OSError, ValueError):
            trial.process.terminate()  # unless it is gone, it says what nobody expected of it
            code = trial.process.wait()
            how = describe_exit(code)
            if code < 0 and -code not in NATIVE_CRASHES:  # by somebody, and not by the model
                hint = (
                    ", as the kernel does when memory runs out" if code == -signal.SIGKILL else ""
                )
                reason = f"its trial, a load in a process of its own, {how}{hint}"
                return self._proof(ERROR, reason, limit_seconds)
            reason = (
                f"loading it crashed: its trial, a process of its own, {how}; "
                "nothing else was touched; to try it again, load it by command"
            )
            return self._proof(CRASHED, reason, limit_seconds)

    def _answer(self, content: bytes, limit_seconds: float) -> Proof:
        """What the trial process says. It ran native code of a model: nothing of it is believed.

        Raises:
            ValueError: It is no answer.
        """
        answer: Any = json.loads(content)
        if not isinstance(answer, dict) or answer.get("end") not in _ENDS:
            raise ValueError("no answer")
        rows, seconds = answer.get("rows", ()), answer.get("seconds", ())
        sound = len(rows) == len(seconds) and all(
            isinstance(one, int | float) and one > 0 for one in (*rows, *seconds)
        )
        return self._proof(
            answer["end"],
            str(answer.get("reason", "")),
            limit_seconds,
            tuple(rows) if sound else (),
            tuple(seconds) if sound else (),
        )

    def _proof(
        self,
        end: str,
        reason: str,
        limit_seconds: float,
        rows: tuple[int, ...] = (),
        seconds: tuple[float, ...] = (),
    ) -> Proof:
        return Proof(end, reason, self._wall_clock(), limit_seconds, rows, seconds)


def _endless(limit_seconds: float) -> str:
    return (
        f"loading it takes longer than load_timeout_seconds, {limit_seconds:g} s; its trial, a "
        "process of its own, was killed, and nothing else was touched; to give it more time, set "
        "load_timeout_seconds in model.toml; to try it again, load it by command"
    )
