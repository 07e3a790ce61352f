"""Training a network of this room with the `Trainer` of transformers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from guerdon.core.extras import need


class Fit(NamedTuple):
    """`losses`: the mean training loss of each epoch · `rejected`: examples that weren't used, by number, with the reason."""

    losses: list[float]
    rejected: dict[int, str]


def train_epochs(
    model: Any,
    examples: Sequence[Any],
    collate: Callable[[Sequence[Any]], Mapping[str, Any]],
    fields: Mapping[str, Any],
) -> list[float]:
    """Train a module, in place, whose forward pass returns its `loss` in a mapping.

    `collate`: makes the arguments of the forward pass from some of the examples · `fields`: of
    `transformers.TrainingArguments`. Nothing is saved or reported by default. The model is left in evaluation mode on the
    device that it was trained on.

    The result is the mean loss of each epoch. Raises `FloatingPointError` where one isn't finite: the weights are of no use
    then.
    """
    transformers = need("transformers", "train")
    with tempfile.TemporaryDirectory() as folder:
        defaults = {
            "output_dir": folder,
            "save_strategy": "no",
            "logging_strategy": "epoch",
            # Else a loss that isn't finite is logged as if it were.
            "logging_nan_inf_filter": False,
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "dataloader_pin_memory": transformers.utils.is_torch_cuda_available(),
        }
        args = transformers.TrainingArguments(**{**defaults, **fields})
        trainer = transformers.Trainer(model, args, train_dataset=examples, data_collator=collate)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    model.eval()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if not all(map(math.isfinite, losses)):
        raise FloatingPointError(f"the training loss isn't finite: {losses}")
    return losses
