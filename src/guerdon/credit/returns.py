"""Returns and advantages along time.

Notation: `r_t` is the reward of step t, `v_t` the value of the state in which step t was taken, `discount_t`
what the future is multiplied by after step t. `discount_t = γ` in general and 0 after a step that
*terminated* the episode. A *truncated* row keeps `discount_t = γ` at its last step and passes the value of
the state it stopped in as its `bootstrap`; without one the future after the row counts as 0.

Rows are padded or ragged. Padded: arrays (B, T) with a `mask` (B, T) of the steps that exist. Steps outside
the mask are skipped as if they were cut out, wherever they stand, and get 0; what stands there (NaN too) has
no influence. Ragged: flat arrays (m,) with `offsets` (n+1,); row i owns `[offsets[i], offsets[i+1])`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guerdon.core.checks import check_number
from guerdon.shape.arrays import (
    Array,
    boolean,
    check_finite,
    check_offsets,
    check_rank,
    companion,
    device,
    floating,
)
from guerdon.shape.rows import Operation, by_rows, scan_to_end


def discounted_returns(
    rewards: Array,
    discount: Array | float,
    mask: Array | None = None,
    bootstrap: Array | None = None,
    *,
    offsets: Array | None = None,
) -> Array:
    """Discounted returns.

        G_t = r_t + discount_t · G_{t+1},    G after the last step = bootstrap

    Args:
        rewards: (B, T), or (m,) with `offsets`.
        discount: one number or an array like `rewards`, in [0, 1]; 0 where the episode terminated.
        mask: (B, T) steps that exist; all by default.
        bootstrap: (B,) or (n,) value of the state after each row's last step; 0 by default.
        offsets: (n+1,) row offsets of ragged rows.

    Returns:
        Like `rewards`, same namespace, dtype and device; 0 outside the mask.

    Raises:
        ValueError: on shapes that don't fit, a discount outside [0, 1], NaN or infinity in a step that
            exists, or both `mask` and `offsets`.
    """
    rows = open_rows(rewards, mask, offsets)
    after = rows.after(bootstrap)
    if getattr(discount, "ndim", 0) == 0 and discount == 1:
        sums = rows.scan("add")
        return rows.close(sums if bootstrap is None else sums + rows.beside(after))
    return rows.close(rows.solve(rows.rewards, rows.unit_interval(discount, "discount"), after))


def lambda_returns(
    rewards: Array,
    values: Array,
    discount: Array | float,
    lambda_: Array | float,
    mask: Array | None = None,
    bootstrap: Array | None = None,
    *,
    offsets: Array | None = None,
) -> Array:
    """λ-returns: a mixture of bootstrapped returns of every length.

        G_t = r_t + discount_t · ((1 − λ_t) · v_{t+1} + λ_t · G_{t+1}),    v, G after the last step = bootstrap

    λ = 0 gives one-step targets, λ = 1 `discounted_returns`.

    Args:
        values: like `rewards`; `v_t` of the state in which step t was taken.
        lambda_: one number or an array like `rewards`, in [0, 1].

    The other arguments, the result and the errors are those of `discounted_returns`.

    R. S. Sutton, A. G. Barto, "Reinforcement learning: an introduction", 2nd edition, section 12.1.
    """
    rows = open_rows(rewards, mask, offsets)
    d, lam = rows.unit_interval(discount, "discount"), rows.unit_interval(lambda_, "lambda_")
    after = rows.after(bootstrap)
    following = rows.following(rows.real(values, "values"), after)
    return rows.close(rows.solve(rows.rewards + d * (1 - lam) * following, d * lam, after))


def gae(
    rewards: Array,
    values: Array,
    discount: Array | float,
    lambda_: Array | float,
    mask: Array | None = None,
    bootstrap: Array | None = None,
    *,
    offsets: Array | None = None,
) -> Array:
    """Generalised advantage estimates: exponentially weighted temporal-difference errors.

        δ_t = r_t + discount_t · v_{t+1} − v_t,    v after the last step = bootstrap
        A_t = δ_t + discount_t · λ_t · A_{t+1},    A after the last step = 0

    `gae + values` are the `lambda_returns`, the targets of the value function. Nothing is whitened here.

    Arguments, result and errors are those of `lambda_returns`.

    J. Schulman, P. Moritz, S. Levine, M. Jordan, P. Abbeel, "High-dimensional continuous control using
    generalized advantage estimation", arXiv 1506.02438.
    """
    rows = open_rows(rewards, mask, offsets)
    d, lam = rows.unit_interval(discount, "discount"), rows.unit_interval(lambda_, "lambda_")
    v = rows.real(values, "values")
    delta = rows.rewards + d * rows.following(v, rows.after(bootstrap)) - v
    return rows.close(rows.solve(delta, d * lam, rows.after(None)))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The steps that exist, of all rows, end to end: `rewards` (m,), and `lengths` (rows,) how many a row has.

    `dtype` and `shape` are those of what the caller gave, `mask` the steps of it that exist.
    """

    xp: Any
    rewards: Array
    dtype: Any
    shape: tuple[int, ...]
    mask: Array | None
    lengths: Array

    def flat(self, array: Array) -> Array:
        return array.reshape(-1) if self.mask is None else array[self.mask]

    def real(self, array: Array, name: str) -> Array:
        """A companion of the rewards, in their precision, at the steps that exist."""
        flat = self.flat(companion(array, self.rewards, name, self.shape))
        flat = self.xp.astype(flat, self.rewards.dtype)
        check_finite(flat, name)
        return flat

    def unit_interval(self, number: Array | float, name: str) -> Array:
        """One number or a companion of the rewards, in [0, 1]."""
        if getattr(number, "ndim", 0) == 0:
            return self.xp.full_like(self.rewards, check_number(float(number), name, 0.0, 1.0))
        flat = self.real(number, name)
        if bool(self.xp.any((flat < 0) | (flat > 1))):
            raise ValueError(f"{name}: expected numbers in [0, 1]")
        return flat

    def after(self, bootstrap: Array | None) -> Array:
        """What follows each row (rows,)."""
        n = self.lengths.shape[0]
        if bootstrap is None:
            return self.xp.zeros(n, dtype=self.rewards.dtype, device=device(self.rewards))
        moved = self.xp.astype(companion(bootstrap, self.rewards, "bootstrap", (n,)), self.rewards.dtype)
        check_finite(moved, "bootstrap")
        return moved

    def beside(self, numbers: Array) -> Array:
        """One number a row (rows,), at each of its steps."""
        return self.xp.repeat(numbers, self.lengths)

    def scan(self, operation: Operation) -> Array:
        """`scan_to_end` of the rewards, which are gone then where a mask made them a copy."""
        return scan_to_end(self.rewards, self.lengths, operation, overwrite=self.mask is not None)

    def map(self, kernel: Callable[..., Array], *numbers: Array) -> Array:
        """`by_rows` of the rewards, which are gone then where a mask made them a copy."""
        return by_rows(kernel, self.lengths, (self.rewards,), numbers, overwrite=self.mask is not None)

    @property
    def longest(self) -> int:
        """Steps of the longest row."""
        return int(self.xp.max(self.lengths)) if self.lengths.shape[0] else 0

    @property
    def ends(self) -> Array:
        """Where the last step of each row that has steps lies."""
        return self.xp.cumulative_sum(self.lengths)[self.lengths > 0] - 1

    def following(self, values: Array, after: Array) -> Array:
        """`v_{t+1}` beside each `v_t`."""
        shifted = self.xp.roll(values, -1)
        shifted[self.ends] = after[self.lengths > 0]
        return shifted

    def solve(self, a: Array, b: Array, after: Array) -> Array:
        """`x_t = a_t + b_t · x_{t+1}` with `x` after the last step of each row given.

        By doubling: after pass p, `a_t + b_t · x_{t + 2^p}` is `x_t`. `b` is 0 at the end of each row, so
        that rows don't leak into each other, and log2 of the longest row passes are enough.
        """
        # Not `asarray`, which cuts the graph in older releases of torch.
        a, b = (self.xp.astype(array, array.dtype, copy=True) for array in (a, b))
        ends = self.ends
        a[ends] += b[ends] * after[self.lengths > 0]
        b[ends] = 0.0
        longest, reach = self.longest, 1
        while reach < longest:
            a[:-reach] += b[:-reach] * a[reach:]
            b = self.xp.concat([b[:-reach] * b[reach:], b[-reach:]])
            reach *= 2
        return a

    def close(self, flat: Array) -> Array:
        """Back to the caller's shape and dtype, with 0 outside the mask."""
        flat = self.xp.astype(flat, self.dtype, copy=False)
        if self.mask is None:
            return flat.reshape(self.shape)
        padded = self.xp.zeros(self.shape, dtype=self.dtype, device=device(flat))
        padded[self.mask] = flat
        return padded


def open_rows(rewards: Array, mask: Array | None, offsets: Array | None, name: str = "rewards") -> Rows:
    """Check rewards at the door and lay their steps end to end; errors as in `discounted_returns`, about `name`."""
    r, xp, dtype = floating(rewards, name)
    shape = tuple(r.shape)
    if offsets is not None:
        if mask is not None:
            raise ValueError("mask, offsets: ragged rows have no mask; give one of the two")
        check_rank(r, name, 1)
        bounds = check_offsets(offsets, r, "offsets", r.shape[0])
        lengths = bounds[1:] - bounds[:-1]
    else:
        check_rank(r, name, 2)
        if mask is None:
            lengths = xp.full(shape[0], shape[1], dtype=xp.int64, device=device(r))
        else:
            mask = boolean(mask, r, "mask", shape)
            lengths = xp.sum(mask, axis=1, dtype=xp.int64)
    flat = r.reshape(-1) if mask is None else r[mask]
    check_finite(flat, name)
    return Rows(xp, flat, dtype, shape, mask, lengths)
