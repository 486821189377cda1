"""Preference tuning: likelihoods, the loss, what is cut, what is learned."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import eafo
from eafo import tasks
from eafo.errors import DataError, MissingDependencyError
from eafo.nn import Module
from eafo.tasks import Setting
from eafo.tasks.dpo import BETAS, DPO, DPO_HH
from eafo.tasks.gpt2 import OFFICIAL, TINY
from eafo.tasks.preferences import Preference
from eafo.tasks.preferring import Preferring, _batch, encoded, judged, log_likelihoods, preference_loss

transformers = pytest.importorskip("transformers")


def network(seed: int = 0, activation: str = "crrelu") -> torch.nn.Module:
    torch.manual_seed(seed)
    return TINY.build(lambda _: Module(activation))


def test_likelihoods_are_those_of_transformers_own_loss() -> None:
    model = network()
    pair = encoded(Preference("why?", " so", " because of it"), TINY.tokens(), keep_end=True)
    tokens, targets = _batch(pair)
    found = log_likelihoods(model, tokens, targets)
    for i, (sequence, wanted) in enumerate(pair):
        one = torch.tensor([sequence])
        loss = model.model(input_ids=one, labels=torch.tensor([wanted])).loss
        count = sum(t >= 0 for t in wanted)
        assert found[i].item() == pytest.approx(-count * loss.item(), rel=1e-5)
    # The prompt counts nothing, the token at the end does.
    assert [sum(t >= 0 for t in wanted) for _, wanted in pair] == [4, 15]
    assert pair[0][1][-1] == 256


def test_what_fills_a_batch_changes_nothing() -> None:
    model = network()
    short, long = encoded(Preference("a", "b", "c" * 40), TINY.tokens(), keep_end=True)
    alone = log_likelihoods(model, *_batch([short]))
    beside = log_likelihoods(model, *_batch([short, long]))
    assert alone[0].item() == pytest.approx(beside[0].item(), rel=1e-5)


def test_the_loss_of_equal_policies_is_log_two_and_its_slope_is_half_beta() -> None:
    policy = torch.tensor([-3.0, -4.0, -5.0, -9.0], dtype=torch.float64, requires_grad=True)
    reference = policy.detach().clone()
    loss, margin = preference_loss(policy, reference, 0.7)
    assert loss.tolist() == pytest.approx([math.log(2)] * 2)
    assert margin.tolist() == [0.0, 0.0]
    (slope,) = torch.autograd.grad(loss.sum(), policy)
    assert slope.tolist() == pytest.approx([-0.35, -0.35, 0.35, 0.35])


def test_the_loss_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    policy, reference = (-20 * torch.rand(6, dtype=torch.float64) for _ in range(2))
    loss, _ = preference_loss(policy, reference, 2.0)
    for i in range(3):
        ratio = policy[i] - reference[i] - (policy[3 + i] - reference[3 + i])
        assert loss[i].item() == pytest.approx(math.log1p(math.exp(-2.0 * ratio.item())))
    assert torch.autograd.gradcheck(lambda p: preference_loss(p, reference, 2.0)[0], policy.requires_grad_())


def test_long_texts_are_cut_as_told() -> None:
    tokens = TINY.tokens()
    for keep_end, kept in ((True, "z"), (False, "y")):
        chosen, rejected = encoded(
            Preference("y" * 400 + "z" * 400, "a" * 100, "b" * 20), tokens, keep_end=keep_end
        )
        assert len(chosen[0]) == 256 + 101
        assert len(rejected[0]) == 256 + 21
        assert bytes(chosen[0][:256]).decode() == kept * 256
    chosen, rejected = encoded(Preference("y" * 400, "a" * 600, "b" * 20), tokens, keep_end=True)
    assert len(chosen[0]) == 512
    assert len(rejected[0]) == 256 + 21
    whole, _ = encoded(Preference("y" * 400, "a" * 20, "b"), tokens, keep_end=True)
    assert len(whole[0]) == 421


def test_every_block_has_an_activation_of_its_own_and_no_dropout() -> None:
    model = network()
    own = [m for m in model.modules() if isinstance(m, Module)]
    assert len(own) == 2
    assert own[0] is not own[1]
    x = torch.randint(0, 256, (2, 9))
    assert torch.equal(model.train()(x), model(x))
    # An activation that is one of transformers' own gives its numbers.
    torch.manual_seed(0)
    ours = TINY.build(lambda _: Module("gelu_tanh"))
    torch.manual_seed(0)
    theirs = TINY.build(lambda _: transformers.activations.NewGELUActivation())
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_the_reference_stays_and_each_strength_starts_from_the_same() -> None:
    imitation = DPO.imitation(Setting(examples=16))
    imitation.build(lambda _: Module("crrelu"))
    problem = DPO.optimisation(imitation, judged(imitation.built, imitation), 1.0)
    first, second = problem.build(lambda _: Module("relu")), problem.build(lambda _: Module("relu"))
    assert {m.activation.name for m in first.modules() if isinstance(m, Module)} == {"crrelu"}
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    inputs, targets = next(problem.batches(torch.Generator().manual_seed(0), 0))
    loss = problem.loss(first, inputs, targets)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert not problem.reference.train.requires_grad
    assert all(p.grad is None for p in problem.start.parameters())
    assert first.model.transformer.h[0].mlp.act.epsilon.grad is not None


def test_an_evaluation_is_that_of_its_pairs() -> None:
    imitation = DPO.imitation(Setting(examples=20))
    imitation.build(lambda _: Module("gelu"))
    problem = DPO.optimisation(imitation, judged(imitation.built, imitation), 2.0)
    assert isinstance(problem, Preferring)
    other = network(1, "gelu")
    found = problem.evaluate(other)
    margins = []
    for chosen, rejected in problem.test_pairs:
        tokens, targets = _batch([chosen, rejected])
        with torch.no_grad():
            ours, theirs = (log_likelihoods(m, tokens, targets) for m in (other, problem.start))
        margins.append(2.0 * float((ours - theirs)[0] - (ours - theirs)[1]))
    assert found.margin == pytest.approx(sum(margins) / 20, abs=1e-4)
    assert found.accuracy == sum(m > 0 for m in margins) / 20
    assert found.loss == pytest.approx(sum(math.log1p(math.exp(-m)) for m in margins) / 20, abs=1e-4)


def test_what_the_reference_makes_of_a_pair_is_found_in_any_order() -> None:
    imitation = DPO.imitation(Setting(examples=20))
    imitation.build(lambda _: Module("crrelu"))
    problem = DPO.optimisation(imitation, judged(imitation.built, imitation), 2.0)
    for inputs, targets in problem.batches(torch.Generator().manual_seed(3), 0):
        with torch.no_grad():
            anew = log_likelihoods(imitation.built, inputs, targets)
        assert problem.reference.train[targets[:, 0]].tolist() == pytest.approx(anew.tolist(), rel=1e-5)


@pytest.fixture(scope="module")
def outcome():
    return DPO.run(eafo.get("crrelu"), 1, 1, Setting(examples=200))


def test_what_was_preferred_is_learned(outcome) -> None:
    # A tenth of the judgements are wrong: nothing gets far beyond 90.
    assert 70 < outcome.score < 97
    assert outcome.curve == (outcome.score,)
    assert len(outcome.metrics) == 1 + 3 * len(BETAS)
    accuracies = [outcome.metrics[f"accuracy, β={beta:g}"] for beta in BETAS]
    assert 100 * sum(accuracies) / 4 == pytest.approx(outcome.score)
    assert outcome.metrics["margin, β=0.1"] > 0
    assert outcome.metrics["loss, β=0.1"] < math.log(2)
    assert outcome.metrics["nats a token"] < math.log(256)


def test_the_activations_learn_in_both_parts(outcome) -> None:
    names = [entry.parameter for entry in outcome.learned]
    assert len(names) == 2 * 5
    assert names[0] == "imitation.model.transformer.h.0.mlp.act.epsilon"
    ends = {e.parameter: e for e in outcome.learned}
    assert (
        ends["β=5.model.transformer.h.1.mlp.act.epsilon"].start
        == ends["imitation.model.transformer.h.1.mlp.act.epsilon"].end
    )
    assert len({e.end for e in outcome.learned}) == len(names)


def test_it_repeats_bit_for_bit_and_goes_on(outcome, tmp_path) -> None:
    setting = Setting(examples=200, checkpoints=str(tmp_path))
    for _ in range(2):
        again = DPO.run(eafo.get("crrelu"), 1, 1, setting)
        assert dataclasses.replace(again, seconds=outcome.seconds) == outcome
    assert len(list(tmp_path.iterdir())) == 5


def test_without_transformers_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        MissingDependencyError, match=r'GPT-2 needs transformers; pip install "eafo\[transformers\]"'
    ):
        DPO.prepare()


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A small GPT-2 in the form of the official files, and some of HH's."""
    from tokenizers import ByteLevelBPETokenizer

    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    place = tmp_path / "gpt2"
    place.mkdir()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["Human: why? Assistant: so it is"] * 4,
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.save_model(str(place))
    config = transformers.GPT2Config(
        vocab_size=300, n_positions=512, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).save_pretrained(place)
    folder = tmp_path / "hh-rlhf" / "helpful-base"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        lines = [
            json.dumps({k: f"\n\nHuman: why {i}?\n\nAssistant: {k} {i}" for k in ("chosen", "rejected")})
            for i in range(6)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_official_files_are_tuned(official) -> None:
    DPO_HH.prepare()
    outcome = tasks.run(DPO_HH, eafo.get("crrelu"), 0, 1, Setting(examples=4))
    assert outcome.steps == 5
    assert len(outcome.learned) == 2 * 5
    tokens = OFFICIAL.tokens()
    assert tokens.end == 0
    reread = transformers.GPT2LMHeadModel.from_pretrained(official / "gpt2").eval()
    x = torch.tensor([tokens.encode("why?")])
    ours = OFFICIAL.build(lambda _: Module("gelu_tanh")).eval()
    assert torch.allclose(ours(x), reread(x).logits, atol=1e-5)


def test_missing_and_damaged_files_of_gpt2_are_named(official) -> None:
    weights = official / "gpt2" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"gpt2 must hold GPT-2's weights \(.*\); fetch them anew"):
        OFFICIAL.build(lambda _: Module("relu"))
    weights.unlink()
    with pytest.raises(
        DataError,
        match=r"GPT-2 must lie under EAFO_DATA, but .*model.safetensors is missing; put config.json",
    ):
        DPO_HH.prepare()
    weights.write_bytes(content)
    (official / "gpt2" / "vocab.json").write_text("{")
    with pytest.raises(DataError, match=r"must hold GPT-2's vocab.json and merges.txt"):
        OFFICIAL.tokens()


def rewritten(path: Path, **changed: torch.Tensor | None) -> None:
    """The weights without those that are None, the others as given."""
    weights = load_file(path) | {name.replace("__", "."): weight for name, weight in changed.items()}
    save_file({k: v.clone() for k, v in weights.items() if v is not None}, path, {"format": "pt"})


def test_the_published_names_of_the_weights_are_read(official) -> None:
    # The published file leaves out the prefix and holds the masks of attention.
    path = official / "gpt2" / "model.safetensors"
    x = torch.tensor([[1, 2, 3]])
    before = OFFICIAL.build(lambda _: Module("gelu_tanh"))(x)
    weights = {k.removeprefix("transformer."): v.clone() for k, v in load_file(path).items()}
    weights |= {f"h.{i}.attn.bias": torch.ones(1, 1, 512, 512).tril() for i in range(2)}
    save_file(weights, path, {"format": "pt"})
    assert torch.equal(OFFICIAL.build(lambda _: Module("gelu_tanh"))(x), before)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (
            None,
            r"model.safetensors must hold all of GPT-2, but .*h.1.mlp.c_fc.weight is missing; fetch it anew",
        ),
        (torch.zeros(32, 64), r"h.1.mlp.c_fc.weight in .* must be of shape \(32, 128\), but got \(32, 64\)"),
        (
            torch.full((32, 128), math.nan),
            r"h.1.mlp.c_fc.weight in .* must be finite, but got 'NaN or infinity'",
        ),
    ],
)
def test_weights_that_are_not_all_there_are_refused(official, weight, message) -> None:
    path = official / "gpt2" / "model.safetensors"
    rewritten(path, transformer__h__1__mlp__c_fc__weight=weight)
    with pytest.raises(DataError, match=message):
        OFFICIAL.build(lambda _: Module("relu"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "llama", r"'model_type' in .*config.json must be gpt2, but got 'llama'"),
        ("n_positions", 64, r"'n_positions' in .*config.json must be at least 512, but got 64"),
        ("vocab_size", 9, r"'vocab_size' in .*config.json must be at least \d+, but got 9"),
    ],
)
def test_a_configuration_of_another_model_is_refused(official, key, value, message) -> None:
    path = official / "gpt2" / "config.json"
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {key: value}))
    with pytest.raises(DataError, match=message):
        OFFICIAL.build(lambda _: Module("relu"))
    path.write_text(kept[:-9])
    with pytest.raises(DataError, match=r"config.json must be JSON \(.*\); fetch it anew"):
        OFFICIAL.build(lambda _: Module("relu"))
