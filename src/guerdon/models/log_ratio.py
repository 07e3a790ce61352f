"""Rewards from the log-ratio of two models, or of one model in two contexts: of tokens, steps and responses.

Rows are padded, (n, T), or ragged: flat arrays (m,) with `offsets` (n+1,). Results live where the inputs do, NumPy or
torch, and torch keeps the graph: detach the log-probabilities of a reference that isn't trained.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.models.checks import check_shapes, row_offsets
from guerdon.models.margin import Array

Form: TypeAlias = Literal["single", "accumulative"]
_compat: Any = array_api_compat


def token_log_ratios(
    policy: Array,
    reference: Array,
    coefficient: float = 1.0,
    *,
    mask: Array | None = None,
    start: Array | int = 0,
) -> Array:
    """Implicit reward of each token.

        q_t = coefficient · (log π(y_t | x, y_<t) − log π_ref(y_t | x, y_<t))        0 for tokens that don't count

    Args:
        policy, reference: (T,), (n, T) or, ragged, (m,) log-probabilities of the same tokens.
        coefficient: β, the strength of the implied KL penalty that the policy was trained with. Its size has no
            influence on a ranking, but on whatever passes a sigmoid.
        mask: like `policy`, tokens that count; 0 is out. What stands elsewhere, NaN too, has no influence on value or
            gradient.
        start: the first position that counts, one number or (n,) one a row: the length of a prompt in front.

    Returns:
        Like `policy`.

    Raises:
        ValueError: on shapes that don't fit or a coefficient that isn't finite. Non-finite log-probabilities of tokens
            that count pass through.

    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM, whose evaluation takes 0.001 as the coefficient. Ganqu Cui et al., "Process Reinforcement
    through Implicit Rewards", arXiv 2502.01456, repository PRIME-RL/PRIME.
    """
    check_number(coefficient, "coefficient")
    if policy.ndim < 1:
        raise ValueError("policy: expected at least one axis, the tokens; got a number")
    shape = tuple(policy.shape)
    check_shapes(shape, reference=reference)
    xp, where = _compat.array_namespace(policy), _compat.device(policy)
    first = xp.asarray(start, device=where)
    if tuple(first.shape) not in ((), shape[:-1]):
        raise ValueError(f"start: expected one number or shape {shape[:-1]}, got {tuple(first.shape)}")
    keep = xp.arange(shape[-1], device=where) >= first[..., None]
    if mask is not None:
        check_shapes(shape, mask=mask)
        keep = keep & (xp.asarray(mask, device=where) != 0)
    return coefficient * (xp.where(keep, policy, 0.0) - xp.where(keep, reference, 0.0))


def step_rewards(
    token_rewards: Array,
    ends: Array,
    offsets: Array,
    *,
    token_offsets: Array | None = None,
    form: Form = "single",
) -> Array:
    """Rewards of steps from those of their tokens.

        accumulative    Q_k = Σ_{t < e_k} q_t             a soft value of the prefix that ends with step k
        single          r_k = Q_k − Q_{k−1},  Q_0 = 0     what step k added

    The single rewards of a row sum to its last accumulative one, which is the reward of the response where the last
    step ends with it. Tokens after the last end are in no step.

    Args:
        token_rewards: (n, T), or (m,) with `token_offsets`; see `token_log_ratios`.
        ends: (k,) integers, where each step ends: the position after its last token, counted from the start of its row;
            rising within a row.
        offsets: (n+1,) row offsets of the steps.
        token_offsets: (n+1,) row offsets of ragged tokens.
        form: which of both.

    Returns:
        (k,) in the dtype of the token rewards; sums are taken in float64.

    Raises:
        ValueError: on shapes that don't fit, ends that fall or leave their row, token rewards that aren't finite, or an
            unknown form.

    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM, which gives the position of the last token itself.
    """
    check_choice(form, "form", get_args(Form))
    xp, where = _compat.array_namespace(token_rewards), _compat.device(token_rewards)
    flat, rows = _flat_rows(token_rewards, token_offsets)
    if not bool(xp.all(xp.isfinite(flat))):
        raise ValueError("token_rewards: expected finite numbers, got NaN or infinity")
    after = np.asarray(ends.tolist() if hasattr(ends, "tolist") else ends)
    steps = row_offsets(offsets, "offsets", after.size)
    if steps.size != rows.size:
        raise ValueError(
            f"offsets: expected {rows.size - 1} rows as there are of tokens, got {steps.size - 1}"
        )
    row = np.repeat(np.arange(steps.size - 1), np.diff(steps))
    first = rows[row]
    before = first
    last = first + _checked_ends(after, row, np.diff(rows))
    if form == "single":
        opens = np.diff(row, prepend=-1) > 0
        before = np.where(opens, first, np.roll(last, 1))
    sums = xp.cumulative_sum(xp.astype(flat, xp.float64), include_initial=True)
    found = sums[xp.asarray(last, device=where)] - sums[xp.asarray(before, device=where)]
    return xp.astype(found, token_rewards.dtype)


def _flat_rows(tokens: Array, offsets: Array | None) -> tuple[Array, NDArray[np.int64]]:
    """Tokens end to end, and where their rows lie."""
    if tokens.ndim != (2 if offsets is None else 1):
        expected = "(n, T)" if offsets is None else "(m,) with token_offsets"
        raise ValueError(f"token_rewards: expected shape {expected}, got {tuple(tokens.shape)}")
    if offsets is None:
        n, width = tokens.shape
        return tokens.reshape(-1), np.arange(n + 1, dtype=np.int64) * width
    return tokens, row_offsets(offsets, "token_offsets", tokens.shape[0])


def _checked_ends(ends: NDArray[Any], row: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    if ends.ndim != 1 or (ends.size and ends.dtype.kind not in "iu"):
        raise ValueError(f"ends: expected integers (k,), got {ends.dtype} {ends.shape}")
    ends = ends.astype(np.int64)
    falls = (np.diff(ends) < 0) & (np.diff(row) == 0)
    if falls.any() or (ends < 0).any() or (ends > lengths[row]).any():
        raise ValueError(
            f"ends: expected positions that rise from 0 to the row's length, got {ends.tolist()!r:.80}"
        )
    return ends
