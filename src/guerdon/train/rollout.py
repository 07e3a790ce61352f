"""What one step of training saw, and a file of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.extras import need
from guerdon.core.io import to_table, write_table
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Rollout(NamedTuple):
    """The n completions of one step, over all processes.

    `step`: how many updates the policy had had · `groups` (n,) int64: samples with one code answer the same
    prompt · `mask` (n, T) bool: tokens that the policy wrote · `advantages` (n, T) float32, 0 outside the
    mask · token ids are in `extra["completion_ids"]`.
    """

    step: int
    samples: Sequence[Chat]
    signal: Signal
    groups: NDArray[np.int64]
    mask: NDArray[np.bool_]
    advantages: NDArray[np.float32]


def write_rollout(rollout: Rollout, folder: Path, tokenizer: PreTrainedTokenizerBase) -> Path:
    """Write `step-XXXXXX.parquet`: the table of `to_table` with the lists `tokens` and `advantages`."""
    pa = need("pyarrow", "train")
    ids = [sample.extra["completion_ids"] for sample in rollout.samples]
    tokens = [[tokenizer.decode([token]) for token in row] for row in ids]
    advantages = [row[: len(own)].tolist() for row, own in zip(rollout.advantages, ids, strict=True)]
    table = to_table(rollout.signal, rollout.samples, metadata={"step": rollout.step})
    table = table.append_column("tokens", pa.array(tokens, pa.list_(pa.string())))
    table = table.append_column("advantages", pa.array(advantages, pa.list_(pa.float32())))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{rollout.step:06d}.parquet"
    write_table(table, path)
    return path
