"""Fine-tuning on preferences: imitation of the chosen responses, then direct preference optimisation."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from eafo.tasks.gpt2 import LONGEST, Tokens
from eafo.tasks.models import ActivationFactory
from eafo.tasks.preferences import Preference
from eafo.tasks.problem import device_of, finite

__all__ = [
    "Evaluation",
    "Imitation",
    "Preferring",
    "Reference",
    "encoded",
    "judged",
    "log_likelihoods",
    "preference_loss",
    "sequences",
]

#: What the loss leaves out: the prompt and what fills a batch.
_IGNORED = -100
_LONGEST_PROMPT = 256

Sequences = tuple[list[int], list[int]]


def encoded(preference: Preference, tokens: Tokens, keep_end: bool) -> tuple[Sequences, Sequences]:
    """The chosen and the rejected sequence, each with its targets: the response's tokens and the one that ends it.

    Where prompt and longer response have more than 512 tokens, the prompt is cut to 256; where they still have, the responses are
    (Rafailov et al., Direct preference optimization, 2023, in their code).
    """
    prompt = tokens.encode(preference.prompt)
    responses = [[*tokens.encode(r), tokens.end] for r in (preference.chosen, preference.rejected)]
    longest = max(map(len, responses))
    if len(prompt) + longest > LONGEST:
        prompt = prompt[-_LONGEST_PROMPT:] if keep_end else prompt[:_LONGEST_PROMPT]
    if len(prompt) + longest > LONGEST:
        responses = [response[: LONGEST - _LONGEST_PROMPT] for response in responses]
    first, second = (([*prompt, *r], [_IGNORED] * len(prompt) + r) for r in responses)
    return first, second


def _batch(sequences: Sequence[Sequences]) -> tuple[Tensor, Tensor]:
    """Tokens (N, T) and targets (N, T), filled up at the end, where nothing before it looks."""
    tokens, targets = (
        nn.utils.rnn.pad_sequence(
            [torch.tensor(s[i]) for s in sequences], batch_first=True, padding_value=fill
        )
        for i, fill in enumerate((0, _IGNORED))
    )
    return tokens, targets


def _both(pairs: Sequence[tuple[Sequences, Sequences]], drawn: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The drawn pairs as a batch: chosen responses, then rejected.

    A first token is nobody's target: in its place stands where the sequence's log-likelihood is in a table of `judged`.
    """
    tokens, targets = _batch([pairs[i][k] for k in (0, 1) for i in drawn])
    targets[:, 0] = torch.tensor([k * len(pairs) + i for k in (0, 1) for i in drawn])
    return tokens, targets


def _in_turn(count: int, batch: int) -> Iterator[range]:
    for start in range(0, count, batch):
        yield range(start, min(start + batch, count))


def log_likelihoods(model: nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
    """Log π(response | prompt) in nats, (N,): of all tokens whose targets count, each after those before it."""
    logits = model(tokens)[:, :-1].float()
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=_IGNORED, reduction="none"
    )
    return -losses.view(len(tokens), -1).sum(1)


def preference_loss(policy: Tensor, reference: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """−log σ(β m) and β m with m = (log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l)).

    Rafailov et al., Direct preference optimization: your language model is secretly a reward model, 2023, eq. 7.

    Args:
        policy: log-likelihoods, (2 N,): those of the chosen responses, then those of the rejected.
        reference: the same by the reference.
        beta: β.

    Returns:
        The loss and the margin of the rewards of each pair, (N,).
    """
    chosen, rejected = (policy - reference).chunk(2)
    margin = beta * (chosen - rejected)
    return -nn.functional.logsigmoid(margin), margin


@dataclass(eq=False)
class _OnPairs:
    """Comparisons as tokens.

    Args:
        pairs: those of the training.
        test_pairs: those of the evaluation.
        batch: comparisons a step; the last batch of an epoch may be smaller.
    """

    pairs: Sequence[tuple[Sequences, Sequences]]
    test_pairs: Sequence[tuple[Sequences, Sequences]]
    batch: int

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-len(self.pairs) // self.batch)

    def _drawn(self, order: torch.Generator) -> Iterator[list[int]]:
        for part in torch.randperm(len(self.pairs), generator=order).split(self.batch):
            yield part.tolist()


@dataclass(eq=False)
class Imitation(_OnPairs):
    """Supervised fine-tuning on the chosen responses; the score is minus the nats a token of those held out.

    Args:
        model: builds the network.
    """

    model: Callable[[ActivationFactory], nn.Module]
    #: What was built last, for what follows.
    built: nn.Module = field(init=False)

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network."""
        self.built = self.model(activation)
        return self.built

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every chosen response once, in a fresh order."""
        for drawn in self._drawn(order):
            yield _batch([self.pairs[i][0] for i in drawn])

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of a response's token, in nats."""
        logits = model(inputs)[:, :-1].flatten(0, 1)
        return nn.functional.cross_entropy(logits.float(), targets[:, 1:].flatten(), ignore_index=_IGNORED)

    def score(self, model: nn.Module) -> float:
        """Minus the nats a token."""
        total, count, device = 0.0, 0, device_of(model)
        for part in _in_turn(len(self.test_pairs), self.batch):
            tokens, targets = (t.to(device) for t in _batch([self.test_pairs[i][0] for i in part]))
            total += float(finite(log_likelihoods(model, tokens, targets)).sum())
            count += int((targets[:, 1:] != _IGNORED).sum())
        return total / count


@dataclass(frozen=True, eq=False)
class Reference:
    """What the reference makes of all comparisons; it stays, so that once is enough for every epoch and β.

    Args:
        train: log-likelihoods of the comparisons trained on, (2 N,): of the chosen responses, then of the rejected.
        test: of those held out, (2 M,).
    """

    train: Tensor
    test: Tensor


@torch.no_grad()
def judged(model: nn.Module, imitation: Imitation, precision: str = "float32") -> Reference:
    """What a network makes of the comparisons of a fine-tuning, on the network's device.

    Args:
        model: the reference.
        imitation: holds the comparisons.
        precision: in which the policy will be trained: the same errors of rounding then cancel in the loss. Scores are taken in float32.
    """
    device, tables = device_of(model), []
    for pairs, kind in ((imitation.pairs, precision), (imitation.test_pairs, "float32")):
        table = torch.empty(2 * len(pairs), device=device)
        for part in _in_turn(len(pairs), imitation.batch):
            tokens, targets = (t.to(device) for t in _both(pairs, part))
            with torch.autocast(device.type, getattr(torch, kind), enabled=kind != "float32"):
                table[targets[:, 0]] = finite(log_likelihoods(model, tokens, targets))
        tables.append(table)
    return Reference(*tables)


@dataclass(frozen=True)
class Evaluation:
    """What the paper's table tells of one β, over the comparisons held out.

    Args:
        margin: the mean of β m, the margin of the rewards.
        accuracy: the share of pairs with a positive margin.
        loss: the mean of −log σ(β m).
    """

    margin: float
    accuracy: float
    loss: float


@dataclass(eq=False)
class Preferring(_OnPairs):
    """Direct preference optimisation from a fine-tuned network; the score is the share of positive margins held out, in percent.

    Args:
        start: the network.
        reference: what it makes of the comparisons.
        beta: β.
    """

    start: nn.Module
    reference: Reference
    beta: float
    built: nn.Module = field(init=False)

    def build(self, activation: ActivationFactory) -> nn.Module:
        """A copy of the fine-tuned network, its activations as they were trained."""
        self.built = copy.deepcopy(self.start)
        return self.built

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every comparison once, in a fresh order: chosen responses, then rejected."""
        for drawn in self._drawn(order):
            yield _both(self.pairs, drawn)

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a pair, in nats."""
        reference = self.reference.train[targets[:, 0]]
        return preference_loss(log_likelihoods(model, inputs, targets), reference, self.beta)[0].mean()

    def score(self, model: nn.Module) -> float:
        """The accuracy of the rewards in percent."""
        return 100 * self.evaluate(model).accuracy

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> Evaluation:
        """Margin, accuracy and loss over the comparisons held out."""
        device, losses, margins = device_of(model), [], []
        for part in _in_turn(len(self.test_pairs), self.batch):
            tokens, targets = (t.to(device) for t in _both(self.test_pairs, part))
            reference = self.reference.test[targets[:, 0]]
            loss, margin = preference_loss(log_likelihoods(model, tokens, targets), reference, self.beta)
            losses.append(finite(loss))
            margins.append(margin)
        every = torch.cat(margins)
        accuracy = (every > 0).double().mean()
        return Evaluation(float(every.mean()), float(accuracy), float(torch.cat(losses).mean()))


def sequences(
    preferences: Sequence[Preference], tokens: Tokens, keep_end: bool
) -> list[tuple[Sequences, Sequences]]:
    """All comparisons as tokens."""
    return list(map(functools.partial(encoded, tokens=tokens, keep_end=keep_end), preferences))
