"""The checks of a machine: what a server lacks there, and how to mend it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from penstock.monitoring.distribution import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.server.config.config import ServerConfig

    from .machine import Machine

_MIB: Final = 1 << 20
#: Counters and samples are kept in shared memory; less than this is soon full.
_LEAST_SHARED_BYTES: Final = 64 * _MIB
#: A version is copied into the state, and the prediction log grows there.
_LEAST_STATE_BYTES: Final = 1024 * _MIB
_LEAST_MEMORY_BYTES: Final = 512 * _MIB
#: A connection is an open file.
_LEAST_OPEN_FILES: Final = 4096
#: Watches that others of this user may need.
_SPARE_WATCHES: Final = 1024
#: Clocks of two machines may differ by this without harm.
_MOST_BEHIND_SECONDS: Final = 60.0
_SHOWN: Final = 10
_SHM: Final = "/dev/shm"  # noqa: S108  named, not written


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    #: The server runs, and something is worse than it could be.
    WARNING = "warning"
    #: The server does not start, or does not serve something.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check, one word.
        level: Severity of the finding.
        found: The fact, as text.
        mend: The mend; empty if nothing is wrong.
    """

    check: str
    level: Level
    found: str
    mend: str = ""


def findings(machine: Machine, config: ServerConfig) -> list[Finding]:
    """Every check, in the order in which a server meets it.

    Args:
        machine: Facts about this machine.
        config: The configuration of the server.
    """
    return [
        *_ports(machine, config),
        *_registry(machine),
        *_permissions(machine),
        _shared_memory(machine),
        _inotify(machine),
        _open_files(machine),
        _cpus(machine, config),
        _memory(machine),
        _clock(machine),
        *_extras(machine),
    ]


def _ports(machine: Machine, config: ServerConfig) -> Iterator[Finding]:
    for option, error in machine.ports.items():
        number = getattr(config, option.replace("-", "_"))
        if error and number in machine.running:
            yield Finding("ports", Level.OK, f"{option} {number} is that of a server of yours")
        elif error:
            found, _, mend = error.partition("; ")
            mend = mend or f"choose another address with --{option}"
            yield Finding("ports", Level.FAILED, found, mend)
        else:
            yield Finding("ports", Level.OK, f"{option} {number or '(any)'} can be had")


def _registry(machine: Machine) -> Iterator[Finding]:
    registry = machine.registry
    if registry.error:
        found, mend = registry.error, "make the directory, or name another one"
        if isinstance(registry.path, str):  # an object store, whose errors have a mend
            found, _, mend = registry.error.partition("; ")
        mend = mend or "try again, or name another one"
        yield Finding("registry", Level.FAILED, found, f"{mend}: penstock doctor REGISTRY")
        return
    yield Finding("registry", Level.OK, f"{registry.path} has {registry.models} models")
    for problem in registry.problems[:_SHOWN]:
        mend = "correct it; the other models are served meanwhile"
        yield Finding("registry", Level.FAILED, problem, mend)
    for model, command in registry.missing[:_SHOWN]:
        found = f"the library that {model} needs is not installed"
        yield Finding("extras", Level.FAILED, found, command)


def _permissions(machine: Machine) -> Iterator[Finding]:
    if machine.state_error:
        yield Finding(
            "permissions",
            Level.WARNING,
            f"state cannot be kept in {machine.state}: {machine.state_error}; it is lost",
            "run as the owner of the directory, or name one that can be written: --state-dir DIR",
        )
    elif machine.state_free_bytes < _LEAST_STATE_BYTES:
        yield Finding(
            "disk",
            Level.WARNING,
            f"{machine.state} has room for {_mebibytes(machine.state_free_bytes)}",
            "make room: copies of versions and the prediction log (--log-max-bytes) are kept there",
        )
    else:
        yield Finding("permissions", Level.OK, f"state can be kept in {machine.state}")
    if machine.sockets_error:
        mend = "name a directory that can be written, with a short path: --run-dir DIR"
        yield Finding("permissions", Level.FAILED, machine.sockets_error, mend)


def _shared_memory(machine: Machine) -> Finding:
    room = machine.shared_memory_bytes
    if room is None:
        return Finding(
            _SHM,
            Level.WARNING,
            f"there is no {_SHM}, so counters are in a directory on a disk",
            "mount one: docker run --shm-size 256m, or a memory volume in Kubernetes",
        )
    if room < _LEAST_SHARED_BYTES:
        return Finding(
            _SHM,
            Level.WARNING,
            f"{_SHM} has room for {_mebibytes(room)}, expected {_mebibytes(_LEAST_SHARED_BYTES)}",
            "docker run --shm-size 256m, or remove what is left in it",
        )
    return Finding(_SHM, Level.OK, f"{_SHM} has room for {_mebibytes(room)}")


def _inotify(machine: Machine) -> Finding:
    if machine.watching_error:
        return Finding(
            "inotify",
            Level.WARNING,
            f"files cannot be watched ({machine.watching_error}): a new version is found by a look "
            "every --scan-seconds only",
            "sysctl fs.inotify.max_user_instances=1024",
        )
    needed = machine.registry.directories + _SPARE_WATCHES
    if machine.watches is not None and machine.watches < needed:
        return Finding(
            "inotify",
            Level.WARNING,
            f"{machine.watches} files can be watched, and the registry has "
            f"{machine.registry.directories} directories",
            f"sysctl fs.inotify.max_user_watches={max(65_536, 2 * needed)}",
        )
    return Finding("inotify", Level.OK, "changes of the registry can be watched")


def _open_files(machine: Machine) -> Finding:
    if machine.open_files < _LEAST_OPEN_FILES:
        return Finding(
            "files",
            Level.WARNING,
            f"a process may have {machine.open_files} open files, and a connection is one",
            "ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit",
        )
    return Finding("files", Level.OK, f"a process may have {machine.open_files} open files")


def _cpus(machine: Machine, config: ServerConfig) -> Finding:
    threads = config.workers * config.execution_threads()
    shown = f"{machine.cpus} CPUs can be used"
    if machine.quota is not None:
        shown += f", the quota is {machine.quota:g}"
    if machine.quota is not None and machine.quota < 1:
        return Finding(
            "cpus",
            Level.WARNING,
            f"{shown}: answers wait while the quota is used up",
            "give the container at least 1 CPU: docker run --cpus 1, limits.cpu in Kubernetes",
        )
    if threads > machine.cpus:
        return Finding(
            "cpus",
            Level.WARNING,
            f"{shown}, and {threads} execution threads are configured",
            "leave --threads at 0, or lower --workers",
        )
    return Finding("cpus", Level.OK, shown)


def _memory(machine: Machine) -> Finding:
    if 0 < machine.memory_bytes < _LEAST_MEMORY_BYTES:
        return Finding(
            "memory",
            Level.WARNING,
            f"{_mebibytes(machine.memory_bytes)} of memory are free",
            "give it more memory, or bound what is loaded with --max-memory-bytes",
        )
    return Finding("memory", Level.OK, f"{_mebibytes(machine.memory_bytes)} of memory are free")


def _clock(machine: Machine) -> Finding:
    behind = machine.registry.newest - machine.now
    if behind > _MOST_BEHIND_SECONDS:
        return Finding(
            "clock",
            Level.FAILED,
            f"the clock is at least {behind:.0f} s behind: a version of the registry is newer",
            "set the clock, and let chrony or systemd-timesyncd keep it",
        )
    if machine.clock_kept is False:
        return Finding(
            "clock",
            Level.WARNING,
            "nothing is known to keep the clock right: times of the audit log may be wrong",
            "run chrony or systemd-timesyncd on this machine (of a container: on its host)",
        )
    return Finding("clock", Level.OK, "the clock is kept right")


def _extras(machine: Machine) -> Iterator[Finding]:
    if machine.foreign:
        found, _, mend = machine.foreign.partition(". ")
        yield Finding("packages", Level.FAILED, found, mend)
    for extra, missing in machine.extras.items():
        if missing:
            found = f"of the extra {extra}, {' and '.join(missing)} is not installed"
            yield Finding("extras", Level.WARNING, found, install_command(extra))
        else:
            yield Finding("extras", Level.OK, f"{extra} is installed")


def _mebibytes(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
