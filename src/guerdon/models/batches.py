"""Rows of tokens of unequal length in padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guerdon.core.extras import need

if TYPE_CHECKING:
    from torch import Tensor


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Rows (their numbers) of similar length that are padded to `batch_tokens` at most; a longer row is alone."""
    rows = list[int]()
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows and lengths[i] * (len(rows) + 1) > batch_tokens:
            yield rows
            rows = []
        rows.append(i)
    if rows:
        yield rows


def padded(
    rows: Sequence[Sequence[int]], device: Any = None, pad: int = 0, *, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Token ids (n, T), `pad` behind the end of a row, or with `left` before it; and their mask, 1 where a row has a token."""
    torch = need("torch", "train")
    width = max(map(len, rows))

    def beside(row: Sequence[int], filling: int) -> list[int]:
        rest = [filling] * (width - len(row))
        return [*rest, *row] if left else [*row, *rest]

    ids = [beside(row, pad) for row in rows]
    mask = [beside([1] * len(row), 0) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def token_log_probs(logits: Tensor, ids: Tensor, mask: Tensor, starts: Sequence[int]) -> Iterator[Tensor]:
    """Of each row of a padded batch, `log softmax` of its tokens from its start on, float32 and differentiable.

    Args:
        logits: (n, T, V), of which those at t predict token t + 1.
        ids, mask: (n, T) as `padded` gives them.
        starts: of each row its first token that counts, at least 1.
    """
    for row, (start, length) in enumerate(zip(starts, mask.sum(1).tolist(), strict=True)):
        # One row at a time in float32: a copy of all logits would be the largest thing in memory.
        scores = logits[row, start - 1 : length - 1].float().log_softmax(-1)
        yield scores.gather(-1, ids[row, start:length, None])[:, 0]
