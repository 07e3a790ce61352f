"""Fitting a process reward model to labelled steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count, check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.models.step_labels import StepLabels
from guerdon.models.step_tokens import StepTokens
from guerdon.models.training import Fit, train_epochs

if TYPE_CHECKING:
    from guerdon.models.step_head import StepHead


def fit_step_head(
    head: StepHead,
    rows: Sequence[StepLabels],
    *,
    epochs: int = 1,
    batch_size: int = 8,
    learning_rate: float = 1e-5,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Fit:
    """Train head and backbone, in place, on labelled steps with the `Trainer` of transformers.

        loss of a batch = step_loss of its labelled steps, each with the same weight

    Cross-entropy for a `probability`, to hard labels or to soft ones such as rates of success, and squared error for a
    `rating`; a label of NaN carries no loss. Equal arguments and equal weights at the start give equal weights on one
    machine. The model is left in evaluation mode on the device that it was trained on.

    Args:
        head: to be trained. A backbone without gradient stays as it is.
        rows: see `StepLabels`. A row is left out, and its reason told, where it can't be encoded, has more tokens than the
            model takes, has no label, or has a labelled step without a token of its own: never cut.
        epochs: passes over the rows, in an order that `seed` decides.
        batch_size: rows in one pass and on one device.
        options: other fields of `transformers.TrainingArguments`. By default AdamW, whose rate falls linearly to 0.

    Raises:
        ValueError: for options out of range, a label outside [0, 1] for a `probability`, or where no row is left.
        FloatingPointError: where the loss of an epoch isn't finite; the weights are of no use then.

    Jonathan Uesato et al., "Solving math word problems with process- and outcome-based feedback", arXiv 2211.14275; soft
    labels as in Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv
    2410.08146, and Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided
    GFlowNets", arXiv 2504.19981, repository Adam-yni/GFlowNets-FineTuning; squared error as in Dan Zhang et al.,
    "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository THUDM/ReST-MCTS.
    """
    check_count(epochs, "epochs")
    check_count(batch_size, "batch_size")
    check_number(learning_rate, "learning_rate", low=0.0)
    examples, rejected = _examples(head, rows)
    if not examples:
        raise ValueError(f"rows: expected one with a label that can be encoded, got none; {rejected}"[:300])
    fields = {
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        **(options or {}),
    }
    return Fit(train_epochs(head, examples, _collate, fields), rejected)


class _Example(NamedTuple):
    tokens: StepTokens
    labels: NDArray[np.float64]


def _examples(head: StepHead, rows: Sequence[StepLabels]) -> tuple[list[_Example], dict[int, str]]:
    examples, rejected = list[_Example](), dict[int, str]()
    for i, row in enumerate(rows):
        if head.output == "probability" and ((row.labels < 0) | (row.labels > 1)).any():
            raise ValueError(
                f"rows[{i}]: expected labels in [0, 1] for a probability, got {row.labels.tolist()}"
            )
        labelled = ~np.isnan(row.labels)
        if not labelled.any():
            rejected[i] = "no step has a label"
            continue
        try:
            tokens = head.steps(row.sample, row.spans[labelled])
        except Exception as error:  # a row that can't be encoded is left out alone
            rejected[i] = explain(error)
        else:
            examples.append(_Example(tokens, row.labels[labelled]))
    return examples, rejected


def _collate(examples: Sequence[_Example]) -> dict[str, Any]:
    torch = need("torch", "train")
    from guerdon.models.step_head import step_batch

    labels = [torch.tensor(example.labels, dtype=torch.float32) for example in examples]
    pad: Any = torch.nn.utils.rnn.pad_sequence
    batch = step_batch([example.tokens for example in examples])
    return {**batch, "labels": pad(labels, batch_first=True, padding_value=math.nan)}
