from pathlib import Path

from penstock.server.config.model_config import ModelConfig, parse_model_config
from penstock.server.rollout.traffic import Mirror
from penstock.server.shadow.wanted import decode_wanted
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, encode_target


def read(*plans):
    return decode_wanted(encode_target(Target(7, {plan.name: plan for plan in plans})))


def plan(name="m", percent=100.0, config=None, place="a", **others):
    mirror = Mirror(f"{name}-1", 2, Path(place), percent)
    versions = {1: Path("1"), 3: Path("3")}
    return ModelPlan(name, versions, 1, {}, config or ModelConfig(), mirror=mirror, **others)


def test_only_models_with_a_mirror_are_wanted():
    other = ModelPlan("n", {1: Path("1")}, 1, {}, ModelConfig())
    [one] = read(plan(), other).values()
    assert (one.rollout, one.model, one.primary, one.candidate) == ("m-1", "m", 1, 2)


def test_the_runner_gets_the_plan_as_it_was():
    config = parse_model_config(
        {"threads": 2, "rollout": {"tolerance": {"outputs": {"y": {"compare": "class"}}}}}, "x"
    )
    original = plan(config=config)
    [one] = read(original).values()
    assert decode_target(one.target).models == {"m": original}


def test_a_runner_starts_anew_only_for_what_it_depends_on():
    [before] = read(plan(percent=0.0)).values()

    def essence(**changed):
        [one] = read(plan(**changed)).values()
        return one.essence

    assert essence() == before.essence
    assert essence(pinned=True) == before.essence
    assert essence(place="b") != before.essence
    assert essence(accepted=(2,)) != before.essence
    assert essence(config=ModelConfig(threads=2)) != before.essence
