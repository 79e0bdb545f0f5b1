"""How long loads and runs may take where nobody says otherwise, in seconds."""

from __future__ import annotations

from typing import Final

#: A load: opening, golden requests, warm-up. Waiting for a processor does not count.
LOAD_TIMEOUT_SECONDS: Final = 60.0
#: A run, unless the model was measured to be slow.
RUN_TIMEOUT_SECONDS: Final = 60.0
#: What an operator may say of either.
LEAST_TIMEOUT_SECONDS: Final = 1.0
MOST_TIMEOUT_SECONDS: Final = 86_400.0
