"""What went wrong with an object store: one line with cause and mend, and never a secret.

The texts of a store, of its client library and of what is between them may hold signed URLs, so
nothing of them is shown but status and error code.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.server.config.store_url import StoreUrl

_STATUS: Final = re.compile(r"status code: ([1-5][0-9]{2})\b")
_CODE: Final = re.compile(
    r"<Code>([A-Za-z]{1,60})</Code>|\"(?:code|reason)\": ?\"([A-Za-z]{1,60})\""
)
_NO_BUCKET: Final = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
_REFUSED: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "authError",
    }
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_REGION: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_REDIRECTS: Final = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT})
#: The services of clouds that give credentials to a machine; asked when nothing else has any.
_METADATA: Final = (
    "169.254.169.254",
    "169.254.170.2",
    "metadata.google.internal",
    "MissingAccount",
)
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_RIGHTS: Final = {
    ("s3", "read"): "s3:GetObject, and s3:ListBucket: without it a missing object looks the same",
    ("s3", "write"): "s3:PutObject",
    ("s3", "list"): "s3:ListBucket",
    ("gs", "read"): "storage.objects.get",
    ("gs", "write"): "storage.objects.create and storage.objects.delete",
    ("gs", "list"): "storage.objects.list",
    ("az", "read"): "Storage Blob Data Reader",
    ("az", "write"): "Storage Blob Data Contributor",
    ("az", "list"): "Storage Blob Data Reader",
}
_MAY_NOT: Final = "these credentials may not"


class StoreError(OSError):
    """The store does not do what was asked; the message is one line without secrets.

    Args:
        message: Cause and mend.
        lasting: Whether it stays so until somebody changes something.
        forbidden: Whether the credentials are good and may not do this. S3 says so of an object
            that is not there, too, to who may not list.
    """

    def __init__(self, message: str, *, lasting: bool = False, forbidden: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.forbidden = forbidden


def names_no_bucket(error: Exception) -> bool:
    """Whether something is not found because its bucket is not there."""
    return _code(str(error)) in _NO_BUCKET


def configuration_error(error: Exception, url: StoreUrl) -> StoreError:
    """The error of a client that cannot be made of what the environment says."""
    credentials = _CREDENTIALS.get(url.scheme, "the URL")
    reason = _lasting(url, "read", 0, "", str(error)) or (
        f"what the environment says of this store cannot be used; check {credentials}"
    )
    return StoreError(f"{url}: {reason}", lasting=True)


def store_error(error: Exception, url: StoreUrl, verb: str, path: str = "") -> StoreError:
    """The error of a request to a store.

    Args:
        error: As the client library raises it.
        url: The store.
        verb: What was asked for: ``read``, ``write`` or ``list``.
        path: The object, if it was one.
    """
    text = str(error)
    found, code = _STATUS.search(text), _code(text)
    status = int(found[1]) if found else 0
    reason = _lasting(url, verb, status, code, text)
    if reason:
        forbidden = status == HTTPStatus.FORBIDDEN and reason.startswith(_MAY_NOT)
        return StoreError(f"{url}: {reason}", lasting=True, forbidden=forbidden)
    what = f"{verb} {path}".strip()
    if status:
        known = f"{status} {code}".strip()
        return StoreError(f"{url}: cannot {what}: the store answers {known}")
    short = text.partition("\n\nDebug source:")[0]  # the rest names settings of the client, too
    if "timed out" in short or "timeout" in short or "kind: Timeout" in text:
        return StoreError(f"{url}: cannot {what}: the store does not answer in time")
    if "kind: Connect" in text or "error sending request" in text:
        return StoreError(f"{url}: cannot {what}: the store cannot be reached")
    return StoreError(f"{url}: cannot {what}: {type(error).__name__} of the client library")


def _code(text: str) -> str:
    found = _CODE.search(text)
    return (found[1] or found[2]) if found else ""


def _lasting(url: StoreUrl, verb: str, status: int, code: str, text: str) -> str:
    """Cause and mend of what does not go away by itself; empty for everything else."""
    credentials = _CREDENTIALS.get(url.scheme, "what the server asks for")
    known = code or status
    right = _RIGHTS.get((url.scheme, verb), f"the right to {verb}")
    causes = (
        (
            code in _NO_BUCKET,
            f"there is no bucket {url.bucket}; check its name, the region and the endpoint",
        ),
        (
            code in _EXPIRED,
            f"the credentials have expired ({known}); renew {credentials}, and the session token",
        ),
        (
            code in _CLOCK,
            f"the clock of this machine differs from that of the store ({known}); set it",
        ),
        (
            code in _REGION or status in _REDIRECTS,
            "the bucket is in another region or at another endpoint; set AWS_REGION",
        ),
        (
            code in _REFUSED or status == HTTPStatus.UNAUTHORIZED,
            f"the credentials are refused ({known}); set {credentials} in the environment",
        ),
        (
            any(one in text for one in _METADATA),
            f"no credentials were found; set {credentials} in the environment",
        ),
        (
            "BadScheme" in text,
            "the endpoint is not https; if that is meant, set AWS_ALLOW_HTTP=true",
        ),
        (
            status == HTTPStatus.FORBIDDEN,
            f"{_MAY_NOT} {verb} there ({known}); grant {right}",
        ),
    )
    return next((reason for holds, reason in causes if holds), "")
