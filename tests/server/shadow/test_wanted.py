from pathlib import Path

from penstock.server.config.model_config import ModelConfig, parse_model_config
from penstock.server.rollout.traffic import Mirror
from penstock.server.shadow.wanted import read_wanted
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, write_target


def read(tmp_path, *plans):
    path = tmp_path / "target"
    write_target(path, Target(7, {plan.name: plan for plan in plans}))
    return read_wanted(path)


def plan(name="m", percent=100.0, config=None, place="a", **others):
    mirror = Mirror(f"{name}-1", 2, Path(place), percent)
    versions = {1: Path("1"), 3: Path("3")}
    return ModelPlan(name, versions, 1, {}, config or ModelConfig(), mirror=mirror, **others)


def test_only_models_with_a_mirror_are_wanted(tmp_path):
    other = ModelPlan("n", {1: Path("1")}, 1, {}, ModelConfig())
    [one] = read(tmp_path, plan(), other).values()
    assert (one.rollout, one.model, one.primary, one.candidate) == ("m-1", "m", 1, 2)


def test_the_runner_gets_the_plan_as_it_was(tmp_path):
    config = parse_model_config(
        {"threads": 2, "rollout": {"tolerance": {"outputs": {"y": {"compare": "class"}}}}}, "x"
    )
    original = plan(config=config)
    [one] = read(tmp_path, original).values()
    assert decode_target(one.target).models == {"m": original}


def test_a_runner_starts_anew_only_for_what_it_depends_on(tmp_path):
    [before] = read(tmp_path, plan(percent=0.0)).values()

    def essence(**changed):
        [one] = read(tmp_path, plan(**changed)).values()
        return one.essence

    assert essence() == before.essence
    assert essence(pinned=True) == before.essence
    assert essence(place="b") != before.essence
    assert essence(accepted=(2,)) != before.essence
    assert essence(config=ModelConfig(threads=2)) != before.essence
