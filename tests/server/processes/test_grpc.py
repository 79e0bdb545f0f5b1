"""gRPC of a whole server: workers share the port, TLS, tokens, a killed worker, the drain."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from penstock.server.oip.schema import SERVICE, message
from penstock.server.supervisor.listening import CannotListen, reserve_port

pytestmark = pytest.mark.slow

#: State of a connection in the tables of the kernel.
ESTABLISHED = "01"
MODEL = "breast-cancer"
ROW = np.full((1, 30), 0.5, np.float32)


def request():
    made = message("ModelInferRequest")(model_name=MODEL)
    made.inputs.add(name="features", datatype="FP32", shape=ROW.shape)
    made.raw_input_contents.append(ROW.tobytes())
    return made.SerializeToString()


BODY = request()


def infer(channel, **options):
    call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
    answer = call(BODY, timeout=60, **options)
    return message("ModelInferResponse").FromString(answer)


def address_of(server):
    return re.search(r"grpcs?://(\S+)", "".join(server.banner))[1]


def channel_of(address, credentials=None, **options):
    # A subchannel is shared by all channels of a process unless they ask for one of their own.
    given = [("grpc.use_local_subchannel_pool", 1), *options.items()]
    if credentials is None:
        return grpc.insecure_channel(address, given)
    return grpc.secure_channel(address, credentials, given)


def test_workers_share_the_port_and_a_killed_one_is_replaced(serve):
    server = serve("--grpc-port", 0, "--workers", 2, "--threads", 1, monitor=False)
    address = address_of(server)

    def busy_workers():
        children = server.children().items()
        workers = [pid for name, pid in children if name.startswith("worker")]
        return sum(has_connection(pid, address) for pid in workers)

    channels = [channel_of(address) for _ in range(24)]
    for channel in channels:
        infer(channel)
    assert busy_workers() == 2  # by chance only one, once in 2 ** 23
    counted = message("ModelStatisticsResponse").FromString(
        channels[0].unary_unary(f"/{SERVICE}/ModelStatistics")(b"", timeout=60)
    )
    counts = {one.name: one.inference_stats.success.count for one in counted.model_stats}
    assert counts["breast-cancer"] == len(channels)  # of both workers
    server.kill("worker-0")
    server.until(lambda: "worker-0" in server.children())
    for channel in channels:  # a lost connection is opened again, to a worker that lives
        infer(channel, wait_for_ready=True)
        channel.close()
    assert server.stop() == 0


def has_connection(pid, address):
    """Whether a process has a connection of this port."""
    port = int(address.rpartition(":")[2])
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    inodes = {
        f"socket:[{line[9]}]"
        for line in lines
        if int(line[1].rpartition(":")[2], 16) == port and line[3] == ESTABLISHED
    }
    return any(str(one.readlink()) in inodes for one in Path(f"/proc/{pid}/fd").iterdir())


def test_version_swaps_under_load_lose_no_call(serve):
    server = serve("--grpc-port", 0, monitor=False)
    versions, failures, over = [], [], threading.Event()

    def call():
        with channel_of(address_of(server)) as channel:
            while not over.wait(0.002):
                try:
                    versions.append(infer(channel).model_version)
                except grpc.RpcError as error:
                    failures.append((error.code(), error.details()))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for swap in range(50):
        answered = len(versions)
        version = 1 + swap % 2
        verb = "promote" if swap % 10 else "load"
        assert server.command(f"/admin/models/breast-cancer/versions/{version}/{verb}") == 200
        if swap % 10 == 5:  # the other one leaves memory, and comes back
            path = f"/admin/models/breast-cancer/versions/{3 - version}"
            assert {server.command(f"{path}/{verb}") for verb in ("unload", "load")} == {200}
        server.until(lambda answered=answered: len(versions) > answered + 8)
    over.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert set(versions) == {"1", "2"}


def test_tls_follows_the_files_and_tokens_come_as_metadata(serve, tmp_path):
    def renew(name):
        made = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", tmp_path / "key.new", "-out", tmp_path / "crt.new"]
        command = ["openssl", "req", "-x509", "-nodes", "-days", "9", "-newkey", "ec"]
        curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run([*command, *curve, *made, *files], check=True, capture_output=True)
        for one in ("key", "crt"):
            (tmp_path / f"{one}.new").replace(tmp_path / one)
        return grpc.ssl_channel_credentials((tmp_path / "crt").read_bytes())

    def reached(credentials):
        with channel_of(address, credentials) as channel:
            try:
                infer(channel, metadata=(("authorization", "Bearer predicts"),))
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    first = renew("first")
    digest = hashlib.sha256(b"predicts").hexdigest()
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[token]]\nname = "p"\nsha256 = "{digest}"\nscopes = ["predict"]\n')
    files = ("--ssl-certfile", tmp_path / "crt", "--ssl-keyfile", tmp_path / "key")
    guarded = ("--require-predict-token", "--tokens-file", tokens)
    server = serve("--grpc-port", 0, *files, *guarded, monitor=False)
    address = f"localhost:{address_of(server).rpartition(':')[2]}"
    assert reached(first) is grpc.StatusCode.OK
    with channel_of(address, first) as channel:
        for metadata in ((), (("authorization", "Bearer nobody"),)):
            with pytest.raises(grpc.RpcError) as caught:
                infer(channel, metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        live = channel.unary_unary(f"/{SERVICE}/ServerLive")
        assert live(b"", timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/RepositoryIndex")(b"", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    second = renew("second")
    server.until(lambda: reached(second) is grpc.StatusCode.OK)
    assert reached(first) is grpc.StatusCode.UNAVAILABLE
    assert server.stop() == 0


def test_models_are_loaded_and_unloaded_over_grpc(serve):
    server = serve("--grpc-port", 0, "--admin-grpc-port", 0, monitor=False)
    predictions, admin = re.findall(r"  grpc +grpc://(\S+)", "".join(server.banner))
    token = {"headers": {"authorization": f"Bearer {server.token}"}}
    with triton.InferenceServerClient(admin) as client:
        assert client.is_server_live()
        assert client.is_server_ready()

        def states():
            models = client.get_model_repository_index(as_json=True)["models"]
            return {one["version"]: one["state"] for one in models if one["name"] == MODEL}

        assert states() == {"1": "READY", "2": "READY"}
        for call in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="send a token") as caught:
                call(MODEL)
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        with pytest.raises(InferenceServerException, match="come from the registry") as caught:
            client.load_model(MODEL, config="{}", **token)
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
        with pytest.raises(InferenceServerException, match="there is no model 'nobody'") as caught:
            client.load_model("nobody", **token)
        assert caught.value.status() == "StatusCode.NOT_FOUND"
        client.unload_model(MODEL, **token)
        assert states()["1"] != "READY"
        client.load_model(MODEL, **token)
        assert states()["2"] == "READY"
        with pytest.raises(InferenceServerException) as caught:
            client.get_model_metadata(MODEL)
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"
    with channel_of(predictions) as channel:
        assert infer(channel).model_version == "2"
    records = json.loads(server.once(server.admin_url, "/admin/audit")[1])["records"]
    assert {"load", "unload"} <= {one["action"] for one in records}
    assert server.stop() == 0


def test_a_port_in_use_is_refused_also_one_that_would_be_shared():
    with reserve_port("127.0.0.1", 0, "grpc-port") as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(CannotListen, match="another port with --grpc-port"):
            reserve_port("127.0.0.1", port, "grpc-port")
        with socket.socket() as worker:  # as gRPC opens it
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", port))
            worker.listen()
            with pytest.raises(CannotListen, match="in use"):
                reserve_port("127.0.0.1", port, "grpc-port")
