"""A bucket behind S3's HTTP protocol, in memory: as much of it as a registry uses, and faults.

The tests under ``tests/integrations`` use servers of other projects. This one starts at once,
counts requests, and fails on purpose.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ (GetObject, PutObject, ListObjectsV2)
"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAME = "models"


class Bucket:
    """One bucket.

    Attributes:
        objects: Path -> content.
        requests: Method and path of each request.
        faults: Called with method and path before each request; says what goes wrong: ``""`` for
            nothing, ``"error"``, ``"cut"`` (half of the answer), ``"lost"`` (done, not answered), a
            code of S3 for a refusal.
        conditions: Whether it takes notice of conditions of writes.
        down: Whether it refuses all connections.
    """

    def __init__(self):
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults = lambda method, path: ""
        self.conditions = True
        self.down = False
        self.lock = threading.Lock()
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # head and body in one segment

            def log_message(self, *_):
                pass

            def do_GET(self):
                bucket.answer(self)

            do_PUT = do_GET  # noqa: N815  http.server calls it

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def environment(self):
        """What points a client of S3 at it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "top-secret-key",
        }

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request):
        parts = urlsplit(request.path)
        path = unquote(parts.path).removeprefix(f"/{NAME}").strip("/")
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        fault = "error" if self.down else self.faults(request.command, path)
        with self.lock:
            self.requests.append((request.command, path))
        if not unquote(parts.path).startswith(f"/{NAME}"):
            return send(request, 404, refusal("NoSuchBucket"))
        if fault == "error":
            return send(request, 503, refusal("SlowDown"))
        if fault and fault not in {"cut", "lost"}:
            return send(request, 403, refusal(fault))
        with self.lock:
            if request.command == "PUT":
                status, content, headers = self.put(path, body, request.headers)
            elif "list-type" in parts.query:
                status, content, headers = 200, self.listed(parse_qs(parts.query)), {}
            else:
                status, content, headers = self.get(path, request.headers)
        if fault == "lost":
            request.close_connection = True
            return None
        return send(request, status, content, headers, cut=fault == "cut")

    def put(self, path, body, headers):
        there = self.objects.get(path)
        if self.conditions:
            matched = headers.get("if-match")
            if headers.get("if-none-match") == "*" and there is not None:
                return 412, refusal("PreconditionFailed"), {}
            if matched is not None and (there is None or matched != tag(there)):
                return 412, refusal("PreconditionFailed"), {}
        self.objects[path] = body
        return 200, b"", {"etag": tag(body)}

    def get(self, path, headers):
        content = self.objects.get(path)
        if content is None:
            return 404, refusal("NoSuchKey"), {}
        named = {"etag": tag(content), "last-modified": "Mon, 30 Nov 2026 12:00:00 GMT"}
        if headers.get("if-none-match") == named["etag"]:
            return 304, b"", named
        asked = headers.get("range")
        if asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            named["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return 206, content[start:], named
        return 200, content, named

    def listed(self, query):
        prefix = query.get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{escape(path)}</Key><Size>{len(content)}</Size>"
            f"<LastModified>2026-11-30T12:00:00.000Z</LastModified>"
            f"<ETag>{escape(tag(content))}</ETag></Contents>"
            for path, content in sorted(self.objects.items())
            if path.startswith(prefix)
        )
        return (
            f"<ListBucketResult>{rows}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()
        )


def tag(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


def refusal(code):
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def send(request, status, content, headers=None, *, cut=False):
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("content-length", str(0 if status == 304 else len(content)))
    request.end_headers()
    if status != 304:
        request.wfile.write(content[: len(content) // 2] if cut else content)
    if cut:
        request.close_connection = True
