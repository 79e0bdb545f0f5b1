"""Signatures of requests are those of Standard Webhooks: its library and its example agree."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from penstock.monitoring.alerts.alerts_file import AlertSettings
from penstock.monitoring.alerts.post import attempt
from penstock.monitoring.alerts.signature import key_of, signed_headers
from penstock.monitoring.alerts.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.alerts.alert import Alert

    Make = Callable[..., Alert]

SETTINGS = AlertSettings(source="prod-eu")
ROOT = Path(__file__).parents[3]
NOW = 1_930_000_001.7


def test_a_signature_is_checked_as_the_page_says(
    receiver: Any, an_alert: Make, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(example, "docs/alerts.md", "exec"), namespace)
    check = namespace["check"]
    (tmp_path / "secret").write_text("correct horse\n")
    sink = Sink("s", "cloudevent", receiver.url, secret_file=tmp_path / "secret")
    assert attempt(an_alert(), sink, SETTINGS, NOW).done
    got = receiver.received[0]
    assert check("correct horse", got.headers, got.body, NOW)
    assert not check("wrong", got.headers, got.body, NOW)
    assert not check("correct horse", got.headers, got.body + b" ", NOW)
    assert not check("correct horse", got.headers, got.body, NOW + 301)
    later = got.headers | {"webhook-timestamp": str(int(NOW) + 100)}
    assert not check("correct horse", later, got.body, NOW + 100)


def test_the_example_of_the_specification_has_its_signature() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, "Verifying webhook authenticity"."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["AQ", "AQ==", "plains", "Zm9vYmFy", "+/+/"])
@pytest.mark.parametrize("body", [b'{"test": "\xc3\xa9"}', b""])
def test_the_reference_library_verifies_what_is_signed(secret: str, body: bytes) -> None:
    headers = signed_headers(key_of(f"whsec_{secret}"), "msg.1", int(time.time()), body)
    Webhook(f"whsec_{secret}").verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{secret}").verify(body + b" ", headers, json_parse=False)


def test_the_reference_library_verifies_a_delivery(
    receiver: Any, an_alert: Make, tmp_path: Path
) -> None:
    for secret, known in (
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("whsec_AAECAwQFBgc\n", "whsec_AAECAwQFBgc="),
        ("correct horse\n", b"correct horse"),  # a text is its own bytes
    ):
        (tmp_path / "secret").write_text(secret)
        sink = Sink("s", "cloudevent", receiver.url, secret_file=tmp_path / "secret")
        assert attempt(an_alert(), sink, SETTINGS, time.time()).done
        got = receiver.received.pop()
        event = Webhook(known).verify(got.body, got.headers)
        assert event["data"]["model"] == "churn"
        with pytest.raises(WebhookVerificationError):
            Webhook(b"another").verify(got.body, got.headers)


@pytest.mark.parametrize("secret", [" \n", "whsec_not base64!", "whsec_", "whsec_=", "whsec_é"])
def test_a_bad_secret_is_said_and_nothing_is_sent(
    receiver: Any, an_alert: Make, tmp_path: Path, secret: str
) -> None:
    (tmp_path / "secret").write_text(secret)
    sink = Sink("s", "cloudevent", receiver.url, secret_file=tmp_path / "secret")
    reply = attempt(an_alert(), sink, SETTINGS, NOW)
    assert not reply.done
    assert "secret" in reply.detail
    assert receiver.received == []
