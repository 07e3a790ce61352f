"""Fitting a goal-conditioned reward model to preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count, check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.preferences import Preference
from guerdon.core.samples import Chat
from guerdon.models.batches import padded
from guerdon.models.completion_log_probs import TokenRow
from guerdon.models.goal_conditioned import sample_positions, sample_source_and_goal
from guerdon.models.training import Fit, train_epochs

if TYPE_CHECKING:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel


def fit_goal_conditioned(
    model: GoalConditionedModel,
    pairs: Sequence[Preference[Chat]],
    *,
    beta: float = 0.5,
    positives: int = 16,
    negatives: int = 16,
    source_percentile: float = 0.0,
    goal_percentile: float = 0.0,
    average_goals: bool = False,
    goals: Sequence[Chat] | None = None,
    epochs: int = 1,
    batch_size: int = 8,
    learning_rate: float = 9e-6,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Fit:
    """Train a reward model, in place, with the `Trainer` of transformers, and set its goal.

        loss of a batch = mean −log σ(r_chosen − r_rejected) + goal_contrastive_loss of randomly drawn states

    Sources and goals of positive pairs lie in the chosen answer, each source not behind its goal; of negative ones, the
    source lies in the chosen answer and the goal in the rejected one. The last token of the prompt is among them. Equal
    arguments and equal weights at the start give equal weights on one machine. The model is left in evaluation mode on the
    device that it was trained on.

    Args:
        model: to be trained. A backbone without gradient stays as it is, and then the contrastive term teaches nothing.
        pairs: a pair is left out, and its reason told, where an answer can't be encoded, has no token, or has more tokens
            than the model takes: never cut.
        beta: ≥ 0, weight of the contrastive term, whose size depends on the batch; 0 is a plain reward model.
        positives, negatives: at least 1, states drawn in an answer for each of source and goal; all pairs of them count.
        source_percentile, goal_percentile: in [0, 1), see `sample_positions`.
        average_goals: compare with the mean of an answer's goals.
        goals: desirable answers that make the goal after training; by default the chosen ones of the pairs that were used.
        epochs: passes over the pairs, in an order that `seed` decides, as it does the draws.
        batch_size: pairs in one pass and on one device; 64 in the paper.
        options: other fields of `transformers.TrainingArguments`. By default AdamW, whose rate falls linearly to 0.

    Raises:
        ValueError: for options out of range, an answer of `goals` that can't be encoded, or where no pair is left.
        FloatingPointError: where the loss of an epoch isn't finite; the weights are of no use then.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    for value, name in ((positives, "positives"), (negatives, "negatives"), (epochs, "epochs")):
        check_count(value, name)
    check_count(batch_size, "batch_size")
    check_number(learning_rate, "learning_rate", low=0.0)
    for share, name in ((source_percentile, "source_percentile"), (goal_percentile, "goal_percentile")):
        if check_number(share, name, low=0.0) >= 1.0:
            raise ValueError(f"{name}: expected a number below 1, got {share!r}")
    draw = _Draws(positives, negatives, source_percentile, goal_percentile, np.random.default_rng(seed))
    constants = {"beta": check_number(beta, "beta", low=0.0), "average_goals": average_goals}
    desirable = None if goals is None else [model.tokens(sample) for sample in goals]
    examples, rejected = _examples(model, pairs)
    if not examples:
        raise ValueError(f"pairs: expected one that can be encoded, got none; {rejected}"[:300])
    fields = {
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        **(options or {}),
    }
    losses = train_epochs(model, examples, lambda some: {**_collate(some, draw), **constants}, fields)
    model.set_goal([example.chosen for example in examples] if desirable is None else desirable)
    return Fit(losses, rejected)


class _Example(NamedTuple):
    chosen: TokenRow
    rejected: TokenRow


@dataclass(frozen=True)
class _Draws:
    """Random places, counted back from the ends of n chosen and n rejected answers of so many tokens (n,)."""

    positives: int
    negatives: int
    source_percentile: float
    goal_percentile: float
    rng: np.random.Generator

    def __call__(
        self, chosen: NDArray[np.int64], rejected: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sources and goals of positive pairs (n, m) each, then those of negative pairs (n, m')."""
        # A place is at most the last token of the prompt, which every row has: no limit is needed.
        furthest = int(max(chosen.max(), rejected.max())) + 2
        shares = {"source_percentile": self.source_percentile, "goal_percentile": self.goal_percentile}
        positive = sample_source_and_goal(chosen, furthest, self.positives, self.rng, **shares)
        uniforms = self.rng.random((2, len(chosen), self.negatives))
        return (
            *positive,
            sample_positions(uniforms[0], chosen, furthest, percentile=self.source_percentile),
            sample_positions(uniforms[1], rejected, furthest, percentile=self.goal_percentile),
        )


def _examples(
    model: GoalConditionedModel, pairs: Sequence[Preference[Chat]]
) -> tuple[list[_Example], dict[int, str]]:
    examples, rejected = list[_Example](), dict[int, str]()
    for i, pair in enumerate(pairs):
        try:
            examples.append(_Example(model.tokens(pair.chosen), model.tokens(pair.rejected)))
        except Exception as error:  # a pair that can't be encoded is left out alone
            rejected[i] = explain(error)
    return examples, rejected


def _collate(examples: Sequence[_Example], draw: _Draws) -> dict[str, Any]:
    torch = need("torch", "train")
    ids, mask = padded([row.ids for example in examples for row in example])
    width, lengths = ids.shape[1], mask.sum(1).reshape(-1, 2).numpy()
    counts = lengths - np.array([[row.first for row in example] for example in examples], dtype=np.int64)

    def placed(positions: NDArray[np.int64], side: int) -> NDArray[np.int64]:
        """Counted back from the end of the padded row; the first token of all is 0 there."""
        return (positions + (width - lengths[:, side])[:, None]) % width

    source, goal, negative_source, negative_goal = draw(counts[:, 0], counts[:, 1])
    positive = np.stack([placed(source, 0), placed(goal, 0)], axis=1)
    negative = np.stack([placed(negative_source, 0), placed(negative_goal, 1)], axis=1)
    return {
        "input_ids": ids.reshape(-1, 2, width),
        "attention_mask": mask.reshape(-1, 2, width),
        "positive": torch.from_numpy(positive),
        "negative": torch.from_numpy(negative),
    }
