"""The state on disk: whole after any crash, never silently another."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import subprocess
import sys

import pytest

from penstock.monitoring.files.decoding import ContentError
from penstock.server.desired_state.state import DesiredState, promote, set_alias
from penstock.server.desired_state.state_file import (
    StateDamaged,
    StateFile,
    decode_state,
    encode_state,
)
from penstock.server.errors import Conflict

SERVING = range(1, 1000)


@pytest.fixture
def file(tmp_path):
    return StateFile(tmp_path / "state")


def advance(file, times=1):
    for _ in range(times):
        state = file.read()
        after = promote(state, "m", state.generation + 1, SERVING)
        file.write(after, state.generation)
    return file.read()


def test_what_earlier_servers_kept_beside_it_is_left_out(file):
    """Traffic weights of aliases, which no command could set."""
    state = set_alias(DesiredState(), "m", "canary", 2, SERVING)
    content = json.loads(encode_state(state))
    content["models"]["m"]["weights"] = {"canary": 5.0}
    del content["sha256"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    content["sha256"] = hashlib.sha256(canonical).hexdigest()
    assert decode_state(json.dumps(content).encode()) == state


def test_a_new_server_has_an_empty_state(file):
    assert file.read() == DesiredState()


def test_what_is_written_is_read_and_private(file):
    state = advance(file, 3)
    assert state.generation == 3
    assert StateFile(file.path.parent).read() == state
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_of_two_who_change_the_same_state_one_wins(file):
    state = advance(file)
    first = promote(state, "m", 5, SERVING)
    second = set_alias(state, "m", "mine", 6, SERVING)
    file.write(first, state.generation)
    with pytest.raises(Conflict, match="at generation 2, you saw 1"):
        file.write(second, state.generation)
    assert file.read() == first


def test_every_damage_is_seen_and_the_copy_before_is_offered(file):
    good = advance(file, 2)
    advance(file)
    whole = file.path.read_bytes()
    for size in range(len(whole) - 1):
        file.path.write_bytes(whole[:size])
        with pytest.raises(StateDamaged) as caught:
            file.read()
        assert caught.value.last_good == good
    for index in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[index] ^= 0x80
        file.path.write_bytes(changed)
        with pytest.raises(StateDamaged) as caught:
            file.read()
        assert caught.value.last_good == good


def test_a_file_that_is_gone_is_damage(file):
    advance(file, 2)
    file.path.unlink()
    with pytest.raises(StateDamaged, match="is gone; the one before, generation 1, is whole"):
        file.read()


def test_without_a_copy_nothing_is_offered(file):
    file.path.write_bytes(b"{}")
    with pytest.raises(StateDamaged, match="format is missing; and there is no copy") as caught:
        file.read()
    assert caught.value.last_good is None


def test_a_damaged_file_is_replaced_only_on_demand(file):
    good = advance(file, 2)
    file.path.write_bytes(b"")
    with pytest.raises(StateDamaged) as caught:
        file.write(good, 2)
    file.write(caught.value.last_good, None)
    assert file.read() == caught.value.last_good


@pytest.mark.parametrize("key", ["aliases", "rollout", "loaded", "former"])
def test_a_right_checksum_does_not_excuse_wrong_types(key):
    import json

    from penstock.server.desired_state import state_file

    content = json.loads(encode_state(promote(DesiredState(), "m", 1, SERVING)))
    content["models"]["m"][key] = ["x"]
    del content["sha256"]
    content["sha256"] = state_file._sum(content)
    wrong = rf"models\.m\.{key}(\[0\] is 'x', expected a whole| is \['x'\], expected an object)"
    with pytest.raises(ContentError, match=wrong):
        decode_state(json.dumps(content).encode())


def increment(directory, times, wins):
    file = StateFile(directory)
    done = 0
    while done < times:
        state = file.read()
        try:
            file.write(promote(state, "m", state.generation % 2 + 1, SERVING), state.generation)
        except Conflict:
            continue
        done += 1
    wins.put(done)


def test_processes_that_change_it_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    wins = context.Queue()
    writers = [
        context.Process(target=increment, args=(tmp_path / "state", 20, wins)) for _ in range(3)
    ]
    for one in writers:
        one.start()
    assert [wins.get(timeout=60) for _ in writers] == [20, 20, 20]
    for one in writers:
        one.join()
    assert StateFile(tmp_path / "state").read().generation == 60


def test_a_killed_writer_leaves_a_whole_state(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from penstock.server.desired_state.state import promote\n"
        "from penstock.server.desired_state.state_file import StateFile\n"
        "file = StateFile(Path(sys.argv[1]))\n"
        "state = file.read()\n"
        "while True:\n"
        "    after = promote(state, 'm', state.generation % 2 + 1, (1, 2))\n"
        "    file.write(after, state.generation)\n"
        "    state = after\n"
        "    print(state.generation, flush=True)\n"
    )
    reported = 0
    for rounds in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "state"], stdout=subprocess.PIPE, text=True
        ) as writer:
            for _ in range(7 * rounds + 1):
                reported = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                reported = int(line)
        found = StateFile(tmp_path / "state").read().generation
        assert found in {reported, reported + 1}
