"""What goes wrong with a store is one line with cause and mend, without a secret."""

from __future__ import annotations

import pytest

from penstock.server.config.store_url import parse_store_url
from penstock.server.store.object_store import ObjectStore, open_store
from penstock.server.store.store_error import StoreError, store_error


@pytest.mark.parametrize(
    ("code", "cause", "mend"),
    [
        ("InvalidAccessKeyId", "credentials are refused (InvalidAccessKeyId)", "AWS_SECRET_ACCESS"),
        ("SignatureDoesNotMatch", "credentials are refused", "AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", "have expired", "renew"),
        ("RequestTimeTooSkewed", "clock of this machine", "set it"),
        ("AccessDenied", "may not read there", "grant s3:GetObject"),
    ],
)
def test_a_refusal_names_cause_and_mend(bucket, store, code, cause, mend):
    bucket.faults = lambda *_: code
    with pytest.raises(StoreError) as caught:
        store.read("penstock-index.json")
    text = str(caught.value)
    assert cause in text
    assert mend in text
    assert "\n" not in text
    assert caught.value.lasting
    assert "top-secret-key" not in text


def test_rights_are_named_for_what_was_asked(bucket, store, push):
    bucket.faults = lambda method, path: "AccessDenied" if method == "PUT" else ""
    with pytest.raises(StoreError, match=r"may not write there.*s3:PutObject"):
        push(store)
    bucket.faults = lambda method, path: "AccessDenied" if not path else ""
    with pytest.raises(StoreError, match=r"may not list there.*s3:ListBucket"):
        store.listing()


def test_a_bucket_that_is_not_there_is_no_empty_registry(bucket):
    store = open_store(parse_store_url("s3://elsewhere/registry"))
    for ask in (lambda: store.read("x"), store.listing, lambda: store.write("x", b"", None)):
        with pytest.raises(StoreError, match="there is no bucket elsewhere"):
            ask()


def test_a_store_that_is_down_is_not_lasting(bucket, store):
    bucket.down = True
    with pytest.raises(StoreError, match="answers 503 SlowDown") as caught:
        store.read("x")
    assert not caught.value.lasting


def test_a_store_that_hangs_is_not_asked_again_and_again(url):
    from obstore.store import MemoryStore

    now = 0.0
    store = ObjectStore(parse_store_url(url), MemoryStore(), lambda _: None, lambda: now)
    asked = []

    def request():
        nonlocal now
        asked.append(now)
        now += 10.0
        raise StoreError("the store does not answer in time")

    with pytest.raises(StoreError, match="in time"):
        store._tried(request)
    assert asked == [0.0]


def test_signed_urls_in_errors_are_not_repeated():
    text = (
        "Error performing GET https://a.blob.core.windows.net/c/x?sv=2024&sig=SECRET%3D in 3ms - "
        "Server returned non-2xx status code: 500 Internal Server Error: <Code>Bad</Code> SECRET"
    )
    error = store_error(ValueError(text), parse_store_url("az://c/registry"), "read", "x")
    assert str(error) == "az://c/registry: cannot read x: the store answers 500 Bad"


def test_without_credentials_the_line_names_their_variables():
    text = "Error performing PUT http://169.254.169.254/latest/api/token in 1ms - timed out"
    error = store_error(ValueError(text), parse_store_url("s3://b"), "read")
    assert "no credentials were found; set AWS_ACCESS_KEY_ID" in str(error)


def test_credentials_that_cannot_be_read_are_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "hunter2-is-no-base64")
    with pytest.raises(StoreError, match="check AZURE_STORAGE_ACCOUNT_NAME and") as caught:
        open_store(parse_store_url("az://container/x"))
    assert "hunter2" not in str(caught.value)


def test_azure_without_an_account_says_so(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        open_store(parse_store_url("az://container/x"))
