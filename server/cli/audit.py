"""``penstock audit verify``: follow the chain of the audit log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse

_EXIT_FAILURE: Final = 1
_EXIT_USAGE: Final = 2


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    audit: argparse.ArgumentParser = verbs.add_parser("audit", help="check the audit log")
    actions = audit.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = actions.add_parser(
        "verify",
        help="follow the hash chain from the first record to the last",
        description="Follow the hash chain. Exit status 1: a record is not as it was written.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="directory of the log, or one segment"
    )
    where.add_argument("--state-dir", type=Path, metavar="DIR", help="of the server")
    parser.set_defaults(run=run_verify)


def run_verify(namespace: argparse.Namespace) -> int:
    """Check the log; returns the exit status."""
    from penstock.server.desired_state.audit import segments_of, verify_log

    path: Path = namespace.path or namespace.state_dir / "audit"
    if not path.exists() or not segments_of(path):
        print(f"penstock: there is no audit log at {path}", file=sys.stderr)
        return _EXIT_USAGE
    found = verify_log(path)
    if found.problem:
        print(f"BROKEN after record {found.records}: {found.problem}")
        return _EXIT_FAILURE
    print(f"ok: {found.records} records, head {found.head}")
    return 0
