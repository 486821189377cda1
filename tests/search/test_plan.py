from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from eafo.derivation import derive
from eafo.errors import InputError, RefusedError
from eafo.report.provenance import plan_toml
from eafo.search import Plan
from eafo.search.parts import Range
from eafo.search.space import candidates
from eafo.tasks import Setting

GOOD: dict[str, Any] = {
    "name": "p",
    "task": "mnist1d",
    "budget": "short",
    "trials": 4,
    "seeds": 2,
    "space": {
        "bases": ["relu", "srelu"],
        "laws": ["none"],
        "parameters": {"t": {"low": 0.5, "high": 4.0, "log": True, "learnable": True}},
    },
    "sampler": {"name": "random", "seed": 7},
    "pruner": {"name": "none"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    plan = copy.deepcopy(GOOD)
    *tables, key = path.split("/")
    table = plan
    for name in tables:
        table = table[name]
    if value is None:
        del table[key]
    else:
        table[key] = value
    return plan


def test_a_budget_says_how_many_examples_and_a_setting_more() -> None:
    plan = Plan.from_dict({**GOOD, "budget": "tiny", "task": "dpo", "setting": {"precision": "bfloat16"}})
    assert plan.setting == Setting(precision="bfloat16", examples=128)
    assert Plan.from_dict(
        {**GOOD, "budget": "tiny", "task": "dpo", "setting": {"examples": 9}}
    ).setting == Setting(examples=9)
    assert Plan.from_text(plan_toml(plan)) == plan


def test_a_plan_survives_its_own_form() -> None:
    plan = Plan.from_dict(GOOD)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert plan.epochs == 50
    assert plan.all_seeds == (0, 1)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("triels", 4, "the keys of a plan are: name, task, epochs, trials, seeds, space, first_seed, sampler, pruner, "
         "setting, ladder, surrogate, objectives, budget, but got 'triels'; did you mean 'trials'?"),
        ("space/base", ["relu"], "the keys of [space] are: bases, laws, scale_free, orders, parameters, rates, per_channel, saved, grammar, filters, but got 'base'; did you mean 'bases'?"),
        ("space/parameters/t/hihg", 1, "the keys of [space.parameters.t] are: low, high, log, learnable, but got 'hihg'"),
        ("setting", {"devise": "cpu"}, "the keys of [setting] are: device, precision, compiled, examples, record, stacked, checkpoints, rate, per_channel, saved, "
         "but got 'devise'; did you mean 'device'?"),
        ("setting", {"precision": "half"}, "precision must be one of float32, bfloat16, float16, but got 'half'"),
        ("setting", {"examples": 0}, "the number of examples must be a whole number from 1, but got 0"),
        ("sampler/sed", 1, "the keys of [sampler] are: name, seed, but got 'sed'; did you mean 'seed'?"),
        ("pruner/warm", 1, "the keys of [pruner] are: name, startup, warmup, factor, but got 'warm'; did you mean 'warmup'?"),
        ("name", None, "a plan must have the key 'name'"),
        ("name", "../x", "a plan's name must be letters, digits, _ . - (at most 64), but got '../x'"),
        ("name", "x" * 65, "a plan's name must be letters"),
        ("task", "mnist2", "or module:object, but got 'mnist2'"),
        ("budget", "long", "the budget must be one of tiny, short, full, but got 'long'"),
        ("budget", None, "a plan must say how long a training is, by epochs or by budget, not both"),
        ("epochs", 3, "a plan must say how long a training is, by epochs or by budget, not both"),
        ("trials", 0, "trials must be a whole number from 1 to 1000000, but got 0"),
        ("trials", 2.5, "trials must be a whole number from 1 to 1000000, but got 2.5"),
        ("seeds", True, "seeds must be a whole number from 1 to 1000000, but got True"),
        ("seeds", "3", "seeds must be a whole number from 1 to 1000000, but got '3'"),
        ("space", ["relu"], "[space] must be a table, but got ['relu']"),
        ("space/bases", [], "bases must be a list of texts, one at least, but got []"),
        ("space/bases", "relu", "bases must be a list of texts, one at least, but got 'relu'"),
        ("space/scale_free", ["yes"], "scale_free must be a list of false, true or both, but got ['yes']"),
        ("space/scale_free", True, "scale_free must be a list of false, true or both, but got True"),
        ("space/orders", [2], "the orders of a correction must be odd, but got 2"),
        ("space/orders", [3, 3], "the orders of a correction must be given once each, but got [3, 3]"),
        ("space/orders", [0], "the orders of a correction must be a whole number from 1 to 1000000, but got 0"),
        ("space/laws", [1], "laws must be a list of texts, one at least, but got [1]"),
        ("space/bases", ["relu", "relu"], "bases must be given once each, but got 'relu, relu'"),
        ("space/parameters/t/low", 5, "low of t must be below its high, but got 'low = 5, high = 4'"),
        ("space/parameters/t/high", float("inf"), "high of t must be a finite number, but got inf"),
        ("space/parameters/t/low", "a", "low of t must be a finite number, but got 'a'"),
        ("space/parameters/t/low", 0, "low of t must be positive where log is true, but got 0.0"),
        ("space/parameters/t/log", 1, "log of t must be true or false, but got 1"),
        ("space/parameters/t/learnable", "yes", "learnable of t must be true or false, but got 'yes'"),
        ("space/parameters/t/low", None, "[space.parameters.t] must have the key 'low'"),
        ("sampler/name", "cmaes", "the sampler must be one of tpe, random, evolution, but got 'cmaes'"),
        ("pruner/name", "hyperband", "the pruner must be one of median, halving, none, but got 'hyperband'"),
        ("pruner/startup", -1, "the pruner's startup must be a whole number from 0 to 1000000, but got -1"),
    ],
)  # fmt: skip
def test_wrong_plans_are_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Plan.from_dict(changed(path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "kind", "message"),
    [
        ("space/bases", ["nosuch"], InputError, "an activation must be a catalog name or a formula, but got 'nosuch'"),
        ("space/laws", ["nosuch"], InputError, "'nosuch'"),
        ("space/parameters/u", {"low": 1, "high": 2}, InputError,
         "a searched parameter must be one that a candidate has: t, but got 'u'"),
        ("space/parameters/t/low", -1, InputError, "low of t must be positive where log is true"),
        ("space/parameters/t", {"low": -1, "high": 2}, InputError, "t of srelu must be searched within (0, inf), but got -1.0"),
        ("space/parameters/base", {"low": 1, "high": 2}, InputError, "a searched parameter must not be called base, law, rate, per_channel, saved"),
        ("space/laws", ["uniform(-3, -1)"], RefusedError,
     "the base relu and the law uniform(-3, -1) must have a correction, but:"),
    ],
)  # fmt: skip
def test_wrong_spaces_are_refused(path: str, value: Any, kind: type[InputError], message: str) -> None:
    with pytest.raises(kind) as caught:
        candidates(Plan.from_dict(changed(path, value)).space)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_messages_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('name = "p"\ntask = "mnist1d"\nbudget = "tiny"\ntrials = 3\nseeds = 2\nspce = 1\n')
    with pytest.raises(InputError) as caught:
        Plan.from_toml(file)
    assert str(caught.value).startswith(f"{file}: the keys of a plan are:")
    assert str(caught.value).endswith("but got 'spce'; did you mean 'space'?")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a plan must be a readable TOML file (No such file or directory)"),
        (b"name = ", "must be well-formed TOML, but got 'Invalid value"),
        (b"\xff\xfe", "a plan must be a readable TOML file (not UTF-8)"),
        (b"", "a plan must have the key 'name'"),
    ],
)
def test_files_that_are_no_plans_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "plan.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Plan.from_toml(file)
    assert message in str(caught.value)


def test_candidates_are_bases_times_laws() -> None:
    space = Plan.from_dict(changed("space", {
        "bases": ["relu", "identity"], "laws": ["none", "normal"], "parameters": {"epsilon": {"low": -1, "high": 1}},
    })).space  # fmt: skip
    found = candidates(space)
    assert [(c.base, c.law) for c in found] == [
        ("relu", "none"),
        ("relu", "normal"),
        ("identity", "none"),
        ("identity", "normal"),
    ]
    assert found[0].ranges == ()
    assert [name for name, _ in found[1].ranges] == ["epsilon"]
    assert str(found[1].activation) == "epsilon*x*exp(-x**2/2) + max(0, x)"


def test_corrections_are_made_in_every_way_asked_for() -> None:
    space = Plan.from_dict(changed("space", {
        "bases": ["relu"], "laws": ["none", "normal", "laplace"], "scale_free": [False, True], "orders": [3, 5],
    })).space  # fmt: skip
    found = {c.law: c.activation for c in candidates(space)}
    assert list(found) == [
        "none",
        *(
            f"normal{way}"
            for way in (", order 3", ", order 5", ", scale-free, order 3", ", scale-free, order 5")
        ),
        *(
            f"laplace{way}"
            for way in (", order 3", ", order 5", ", scale-free, order 3", ", scale-free, order 5")
        ),
    ]
    # The closed form has no order; a projection has.
    assert found["normal, order 3"].expression == found["normal, order 5"].expression
    assert found["laplace, order 3"].expression != found["laplace, order 5"].expression
    assert found["normal, scale-free, order 3"].expression != found["normal, order 3"].expression
    right = derive("relu", "laplace", scale_free=True, orders=(1, 3)).activation
    assert found["laplace, scale-free, order 3"].expression == right.expression
    assert Plan.from_dict(changed("space", {"bases": ["relu"]})).space.scale_free == (False,)


def test_values_become_defaults_and_learnable_follows_the_plan() -> None:
    for learnable, expected in ((True, True), (False, False), (None, True)):
        entry = {"low": -1, "high": 1} | ({} if learnable is None else {"learnable": learnable})
        plan = changed("space", {"bases": ["crrelu"], "parameters": {"epsilon": entry}})
        candidate = candidates(Plan.from_dict(plan).space)[0]
        (parameter,) = candidate.with_values({"epsilon": 0.25}).parameters
        assert (parameter.default, parameter.learnable) == (0.25, expected)


def test_a_name_with_its_base_holds_for_that_base_alone() -> None:
    plan = changed("space", {
        "bases": ["elu", "celu"],
        "parameters": {"celu.alpha": {"low": 2, "high": 3}, "alpha": {"low": 1, "high": 2}},
    })  # fmt: skip
    elu, celu = candidates(Plan.from_dict(plan).space)
    assert [r.name for _, r in elu.ranges] == ["alpha"]
    assert [r.name for _, r in celu.ranges] == ["celu.alpha"]
    assert celu.with_values({"celu.alpha": 2.5}).defaults == {"alpha": 2.5}


PLANS = sorted((Path(__file__).parents[2] / "search").glob("*.toml"))


def test_there_are_plans() -> None:
    assert {file.stem for file in PLANS} >= {"relu_parameters", "mnist_mlp"}


@pytest.mark.parametrize("file", PLANS, ids=lambda f: f.stem)
def test_the_plans_of_this_repository_are_well_formed(file: Path) -> None:
    assert Plan.from_toml(file).name.replace("-", "_") == file.stem


@pytest.mark.slow
@pytest.mark.parametrize("file", PLANS, ids=lambda f: f.stem)
def test_the_plans_of_this_repository_have_candidates(file: Path) -> None:
    space = Plan.from_toml(file).space
    assert len(candidates(space)) == len(space.bases) * len(space.laws)


def test_the_readmes_plan_can_be_run():
    text = (Path(__file__).parents[2] / "search" / "README.md").read_text(encoding="utf-8")
    plan = Plan.from_text(text.split("```toml")[1].split("```")[0])
    assert plan.name == "relu-parameters"
    assert plan.trials == 30


@pytest.mark.parametrize("task", [[], {}, 3])
def test_a_task_must_be_a_name(task):
    with pytest.raises(InputError, match="a task must be an embedded one"):
        Plan.from_dict(
            {
                "name": "p",
                "task": task,
                "budget": "tiny",
                "trials": 1,
                "seeds": 1,
                "space": {"bases": ["relu"]},
            }
        )


def test_a_range_has_a_finite_width():
    with pytest.raises(InputError, match="finite width"):
        Range("epsilon", -1e308, 1e308)
