"""The facts about this machine that a server needs: read once, judged by `machine_checks`."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.server.config.config import ServerConfig
    from penstock.server.registry.repository import RegistrySnapshot

#: Directories of a registry that are counted, and versions that are looked at.
_MOST_DIRECTORIES: Final = 100_000
_MOST_VERSIONS: Final = 200
#: `adjtimex` answers so if nothing keeps the clock right; see adjtimex(2).
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  read, not written


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """A registry as it is on disk or in a store.

    Attributes:
        path: As configured.
        error: Reason for which it cannot be read; empty if it can.
        models: Number of models.
        directories: Number of directories, at any depth.
        problems: Places that cannot be served, with the reason.
        missing: Models whose library is not installed, with the command that installs it.
        newest: Unix time of the newest version; 0 without one.
    """

    path: Path | str
    error: str = ""
    models: int = 0
    directories: int = 0
    problems: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    newest: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts about this machine.

    Attributes:
        now: Unix time of the clock.
        ports: Error of each port, by its option; empty for one that is free. Those of gRPC
            are among them if they are configured.
        running: Ports of servers of this user that run here.
        registry: The registry.
        state: Directory of the state.
        state_error: Reason for which nothing can be written there; empty if it can.
        state_free_bytes: Room on its disk.
        sockets_error: Reason for which there is no directory for sockets; empty if there is one.
        shared_memory_bytes: Room in ``/dev/shm``; ``None`` if there is none.
        watches: Files that this user may watch; ``None`` if the system does not say.
        watching_error: Reason for which nothing can be watched; empty if something can.
        open_files: Files that a process may have open.
        cpus: CPUs that may be used, by affinity and quota.
        quota: CPUs that the control group allows; ``None`` without a limit.
        memory_bytes: Bytes that can still be allocated; 0 if the system does not say.
        clock_kept: Whether something keeps the clock right; ``None`` if the system does not say.
        extras: Extra -> what of it is not installed.
        foreign: Somebody else's ``penstock`` that is installed here; empty if there is none.
    """

    now: float
    ports: dict[str, str]
    running: frozenset[int]
    registry: RegistryFacts
    state: Path
    state_error: str
    state_free_bytes: int
    sockets_error: str
    shared_memory_bytes: int | None
    watches: int | None
    watching_error: str
    open_files: int
    cpus: int
    quota: float | None
    memory_bytes: int
    clock_kept: bool | None
    extras: dict[str, tuple[str, ...]]
    foreign: str = ""


def read_machine(config: ServerConfig, now: float) -> Machine:
    """Read what a server with this configuration would find; nothing is changed.

    Args:
        config: The configuration.
        now: Unix time.
    """
    from penstock.monitoring.distribution import foreign_package
    from penstock.server.config.cpus import available_cpus, cpu_quota
    from penstock.server.processes.memory_limits import available_bytes

    state = config.state_dir or config.registry / ".penstock"
    return Machine(
        now=now,
        ports=_ports(config),
        running=_running(),
        registry=_registry(config),
        state=state,
        state_error=_write_error(state),
        state_free_bytes=_free_bytes(state),
        sockets_error=_sockets_error(config),
        shared_memory_bytes=_free_bytes(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
        watches=_number(Path("/proc/sys/fs/inotify/max_user_watches")),
        watching_error=_watching_error(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        cpus=available_cpus(),
        quota=cpu_quota(),
        memory_bytes=available_bytes(),
        clock_kept=_clock_kept(),
        extras=_extras(),
        foreign=foreign_package() or "",
    )


def _ports(config: ServerConfig) -> dict[str, str]:
    from penstock.server.supervisor.listening import CannotListen, open_listener

    found = {}
    for option, host, port in (
        ("port", config.host, config.port),
        ("admin-port", config.admin_host, config.admin_port),
        ("grpc-port", config.host, config.grpc_port),
        ("admin-grpc-port", config.admin_host, config.admin_grpc_port),
    ):
        if port is None:
            continue
        try:
            open_listener(host, port, option).close()
            found[option] = ""
        except CannotListen as error:
            found[option] = str(error)
    return found


def _running() -> frozenset[int]:
    from penstock.server.processes.run_directory import running_servers

    found: set[int] = set()
    for directory in running_servers():
        with suppress(OSError, ValueError):  # it is just starting or stopping
            address = json.loads(directory.address.read_text())
            urls = (url for name, url in address.items() if name.endswith("_url"))
            found.update(urlsplit(url).port or 0 for url in urls)
    return frozenset(found)


def _registry(config: ServerConfig) -> RegistryFacts:
    from penstock.server.files.config_error import ConfigError
    from penstock.server.registry.survey import scan

    if config.store:
        from .store_look import store_look

        models, error = store_look(config.store)
        return RegistryFacts(config.store, error, models)
    try:
        snapshot = scan(config.registry, config.link_roots())
    except (ConfigError, OSError) as error:
        return RegistryFacts(config.registry, str(error))
    versions = [path for one in snapshot.models.values() for path in one.versions.values()]
    return RegistryFacts(
        path=config.registry,
        models=len(snapshot.models),
        directories=sum(1 for _ in _directories(config.registry)),
        problems=tuple(f"{one.path}: {one.reason}" for one in snapshot.problems),
        missing=tuple(_missing(snapshot)),
        newest=max(map(_changed, versions), default=0.0),
    )


def _directories(root: Path) -> Iterator[Path]:
    for count, (folder, _, _) in enumerate(os.walk(root)):
        if count == _MOST_DIRECTORIES:
            return
        yield Path(folder)


def _missing(snapshot: RegistrySnapshot) -> Iterator[tuple[str, str]]:
    """Models whose newest version needs a library that is not installed."""
    from penstock.runtimes.contract import ModelLoadError
    from penstock.runtimes.discovery import built_in_platform, runtimes
    from penstock.runtimes.library import library_of

    try:
        installed = runtimes()
    except ModelLoadError as error:  # two plug-ins claim one platform
        yield "every model", str(error)
        return
    for entry in list(snapshot.models.values())[:_MOST_VERSIONS]:
        if not entry.versions:
            continue
        platform = entry.config.platform or built_in_platform(entry.versions[max(entry.versions)])
        library = library_of(installed.get(platform))
        if library is not None and not library.version:
            yield entry.name, library.command


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _write_error(path: Path) -> str:
    """Why a directory cannot be written, or made; empty if it can."""
    there = _nearest(path)
    if not there.is_dir():
        return f"{there} is no directory"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written by user {os.geteuid()}"
    if there == path and path.stat().st_uid != os.geteuid():
        return f"{path} belongs to user {path.stat().st_uid}, and this is user {os.geteuid()}"
    return ""


def _nearest(path: Path) -> Path:
    """The directory itself, or the one above it that is there and can be seen."""
    for one in (path, *path.absolute().parents):
        with suppress(OSError):
            if one.exists():
                return one
    return Path("/")


def _free_bytes(path: Path) -> int:
    facts = os.statvfs(_nearest(path))
    return facts.f_bavail * facts.f_frsize


def _sockets_error(config: ServerConfig) -> str:
    from penstock.server.processes.run_directory import RunDirectory, RunDirectoryInUse

    if config.run_dir is not None:
        return _write_error(config.run_dir)
    try:
        RunDirectory.create(None).remove()
    except (OSError, RunDirectoryInUse) as error:
        return str(error)
    return ""


def _watching_error() -> str:
    """Why the system gives no inotify instance; empty if it does."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor >= 0:
        os.close(descriptor)
        return ""
    code = ctypes.get_errno()
    return errno.errorcode.get(code, str(code))


def _clock_kept() -> bool | None:
    """Whether the kernel is told that its clock is right; reading needs no rights."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _extras() -> dict[str, tuple[str, ...]]:
    """Extra -> its distributions that are not installed; models tell those of runtimes."""
    from importlib.metadata import PackageNotFoundError, version

    wanted = {"monitor": ("scipy", "datasketches"), "analytics": ("duckdb",)}
    missing: dict[str, list[str]] = {extra: [] for extra in wanted}
    for extra, names in wanted.items():
        for name in names:
            try:
                version(name)
            except PackageNotFoundError:
                missing[extra].append(name)
    return {extra: tuple(names) for extra, names in missing.items()}
