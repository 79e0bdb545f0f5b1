import math

import pytest

from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.files.config_error import ConfigError
from penstock.server.rollout.options import parse_rollout
from penstock.server.rollout.tolerance import (
    ABSOLUTE,
    RELATIVE,
    OutputTolerance,
    Tolerance,
)


def test_an_output_takes_the_common_limits_and_its_own_comparison():
    table = {"absolute": 0.5, "outputs": {"logits": {"compare": "class"}}}
    tolerance = parse_rollout({"tolerance": table}, "model.toml").tolerance
    assert tolerance.of("logits") == OutputTolerance(0.5, None, "class")
    assert tolerance.of("price").limits == (0.5, 0.0)


def test_an_output_with_limits_of_its_own_takes_none_from_the_others():
    table = {"absolute": 0.5, "outputs": {"price": {"relative": 0.1}}}
    assert parse_rollout({"tolerance": table}, "model.toml").tolerance.of("price").limits == (
        0.0,
        0.1,
    )


def test_where_nothing_is_said_the_defaults_hold():
    nothing = parse_rollout({"tolerance": {}}, "model.toml").tolerance.of("price")
    assert not nothing.given
    assert nothing.limits == (ABSOLUTE, RELATIVE)


def test_it_survives_the_way_to_another_process():
    table = {"relative": 0.1, "outputs": {"a": {"compare": "ignore"}, "b": {"absolute": 1}}}
    tolerance = parse_rollout({"tolerance": table}, "model.toml").tolerance
    assert unpack(Tolerance, pack(tolerance), "x") == tolerance


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "model.toml: rollout.tolerance is [], expected a table"),
        ({"absolut": 1}, "unknown key rollout.tolerance.absolut; did you mean absolute?"),
        ({"absolute": True}, "rollout.tolerance.absolute is True, expected a number, at least 0"),
        ({"relative": -1}, "rollout.tolerance.relative is -1, expected a number"),
        ({"relative": math.nan}, "expected a number"),
        ({"outputs": 1}, "rollout.tolerance.outputs is 1, expected a table"),
        ({"outputs": {"a": 1}}, "rollout.tolerance.outputs.a is 1, expected a table"),
        ({"outputs": {"a": {"compare": "x"}}}, "outputs.a.compare is 'x', expected one of auto"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected(table, message):
    with pytest.raises(ConfigError) as raised:
        parse_rollout({"tolerance": table}, "model.toml")
    assert message in str(raised.value)
