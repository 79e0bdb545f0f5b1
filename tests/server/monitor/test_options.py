"""``[feedback]`` and ``[quality]`` of a model.toml: read, refused, handed to the workers."""

from __future__ import annotations

import tomllib

import pytest

from penstock.server.config.model_config import ModelConfig, parse_model_config
from penstock.server.files.config_error import ConfigError
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, encode_target

FULL = """
[feedback]
kind = "classification"
prediction = "label"
score = "probabilities"
positive = 1
classes = ["no", "yes"]
expected_accuracy = 0.9
reference_labels = 500
false_alarms_per_month = 0.01

[quality]
event_time = "seen_at"
max_age = "1h"
stale = "reject"

[quality.fields.age]
min = 0
max = 120
integer = true
policy = "reject"
nulls = "impute"
constant = 40

[quality.fields."x[2]"]
values = [0, 1]
"""


def parse(text):
    return parse_model_config(tomllib.loads(text), "model.toml")


def test_everything_reaches_the_workers():
    config = parse(FULL)
    plan = ModelPlan(
        name="m", versions={}, default=None, aliases={}, config=config, pinned=False, accepted=()
    )
    assert decode_target(encode_target(Target(1, {"m": plan}))).models["m"].config == config
    assert config.feedback.classes == ("no", "yes")
    assert config.quality.fields[0].expected == "a whole number from 0 to 120"
    assert parse("").feedback == ModelConfig().feedback
    assert ModelConfig().quality.empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[feedback]\nkin = 1", "unknown key feedback.kin; did you mean kind"),
        ("feedback = 1", "feedback is 1, expected a table"),
        ("[feedback]\nkind = 'ranking'", "'classification' or 'regression'"),
        ("[feedback]\nexpected_accuracy = 1.5", "between 0 and 1"),
        ("[feedback]\nclasses = ['a']", "2 to 1000 classes"),
        ("[feedback]\nclasses = ['a', 'a']", "each class once"),
        ("[feedback]\nreference_labels = 3", "from 50"),
        ("[quality.fields.x]\nmn = 1", "unknown key quality.fields.x.mn; did you mean min"),
        ("[quality.fields.x]\nmin = 2\nmax = 1", "min is above max"),
        ("[quality.fields.x]\npolicy = 'impute'", "impute needs a constant"),
        ("[quality.fields.x]\npolicy = 'drop'", "one of reject, impute, pass"),
        ("[quality]\nevent_time = 't'", "needs event_time and max_age"),
        ("[quality]\nevent_time = 't'\nmax_age = 'soon'", "expected a duration such as"),
        ("[quality.fields.x]\nmin = 'a'", "expected a number"),
        ("[quality.fields.x]\npolicy = 'rejct'", "; did you mean reject?"),
        ("[quality.fields.x]\nvalues = [1, 'a']", "expected only numbers or only texts"),
        ("[quality.fields.x]\nvalues = [true]", r"quality.fields.x.values\[0\] is True"),
        ("[quality.fields]\nx = 1", "quality.fields.x is 1, expected a table"),
        ("[quality]\nstale = 'impute'", "quality.stale is 'impute', expected one of reject, pass"),
    ],
)
def test_a_mistake_is_named(text, said):
    with pytest.raises(ConfigError, match=said):
        parse(text)
