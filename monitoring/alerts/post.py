"""One attempt to tell one sink."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from .reply import Reply

if TYPE_CHECKING:
    from .alert import Alert
    from .alerts_file import AlertSettings
    from .sink import Sink

LOG = logging.getLogger("penstock.alerts")

_LEVELS: Final = {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


def attempt(alert: Alert, sink: Sink, settings: AlertSettings, now: float) -> Reply:
    """Send an alert to one sink; each error becomes part of the reply.

    Args:
        alert: The alert to send.
        sink: The sink to send it to.
        settings: Describes the sender.
        now: Unix seconds, in the signature.
    """
    if sink.template == "log":
        level = _LEVELS[alert.severity] if alert.opened else logging.INFO
        LOG.log(level, "%s: %s", alert.name, alert.summary)
        return Reply(0, "logged", done=True)
    from .http_call import tell  # large, and most servers have no sink but the log

    return tell(alert, sink, settings, now)
