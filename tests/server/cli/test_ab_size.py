from __future__ import annotations

import json

import pytest

from penstock.server.cli.main import main
from penstock.server.rollout.sample_size import Design, size_of_means, size_of_rates


def test_rates_as_text_and_as_json(capsys):
    asked = ["ab", "size", "--rate", "0.02", "--ratio", "1.25", "--requests-per-second", "20"]
    assert main(asked) == 0
    once, anytime = capsys.readouterr().out.splitlines()
    sizes = size_of_rates(0.02, Design(0.005))
    assert once.startswith(f"read once, at the end: {sizes.fixed:,} requests")
    assert anytime.startswith(f"read at any time: {sizes.anytime:,} requests")
    assert "min" in anytime
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["anytime"]["requests"] == sizes.anytime
    assert found["anytime"]["candidate"] == round(sizes.anytime / 2)
    assert found["fixed"]["seconds"] == sizes.fixed / 20


def test_means(capsys):
    assert main(["ab", "size", "--deviation", "3", "--difference", "0.2", "--percent", "10"]) == 0
    sizes = size_of_means(3.0, Design(0.2, 0.1))
    assert f"{sizes.fixed:,} requests, {round(0.1 * sizes.fixed):,} to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--deviation", "3", "--ratio", "1.2"], "--difference of the means"),
        (["--rate", "0.9", "--ratio", "1.2"], "both between 0 and 1"),
        (["--rate", "0.1", "--ratio", "1.2", "--percent", "0"], "share is 0"),
        (
            ["--rate", "0.1", "--ratio", "1.2", "--requests-per-second", "0"],
            "expected a number above 0",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(options, words, capsys):
    assert main(["ab", "size", *options]) == 1
    assert words in capsys.readouterr().err
