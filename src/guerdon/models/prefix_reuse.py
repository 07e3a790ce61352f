"""Prompts that many completions share: found among rows of tokens, their keys and values computed once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from guerdon.core.extras import need
from guerdon.models.batches import padded

if TYPE_CHECKING:
    from torch import Tensor

_CACHE_ARGUMENTS = ("past_key_values", "cache")  # the older name, and that since transformers 5.24
_ARGUMENTS = ("position_ids", "logits_to_keep")


class SharedPrefix(NamedTuple):
    """The first `length` tokens of all `rows` are equal."""

    length: int
    rows: list[int]

    @property
    def saved(self) -> int:
        """Tokens that needn't be computed again."""
        return (len(self.rows) - 1) * self.length


def shared_prefixes(contexts: Sequence[list[int]]) -> list[SharedPrefix]:
    """Groups of rows with their longest common prefix; each row is in one of them, alone where nothing is shared.

    A group is split into those that share at least one token more wherever these save more tokens together, so that a
    header of all prompts doesn't keep completions of equal prompts apart. Takes `n log n` comparisons of rows, and a
    look at the rows of a group for each level of splits.
    """
    order = sorted(range(len(contexts)), key=contexts.__getitem__)
    common = [_common(contexts[a], contexts[b]) for a, b in pairwise(order)]

    def group(start: int, stop: int) -> SharedPrefix:
        length = min(common[start : stop - 1], default=len(contexts[order[start]]))
        return SharedPrefix(length, order[start:stop])

    found, todo = list[SharedPrefix](), [(0, len(order))] if order else []
    while todo:
        start, stop = todo.pop()
        whole = group(start, stop)
        cuts = [i + 1 for i in range(start, stop - 1) if common[i] == whole.length]
        parts = list(pairwise((start, *cuts, stop)))
        if sum(group(*part).saved for part in parts) > whole.saved:
            todo += parts
        else:
            found.append(whole)
    return found


def reuse_obstacle(model: Any) -> str | None:
    """Why the keys and values of a prefix can't be reused with this model; None where they can.

    They can where each layer attends to everything before it, and the model takes its cache, positions and how many
    logits to keep as arguments. What a sliding window, a recurrent state or a compressed cache keeps of a padded
    prefix isn't what each row would have kept; a model in a wrapper, such as an adapter, doesn't say what it takes.
    """
    known = inspect.signature(type(model).forward).parameters
    missing = [name for name in _ARGUMENTS if name not in known]
    if _cache_argument(model) is None:
        missing.insert(0, _CACHE_ARGUMENTS[0])
    if missing:
        return f"{type(model).__name__} doesn't take {', '.join(missing)}"
    cache_utils = need("transformers.cache_utils", "train")
    layers = cache_utils.DynamicCache(config=model.config).layers
    other = {type(layer).__name__ for layer in layers if type(layer) is not cache_utils.DynamicLayer}
    return f"{type(model).__name__} has layers that keep a {', '.join(sorted(other))}" if other else None


def _cache_argument(model: Any) -> str | None:
    known = inspect.signature(type(model).forward).parameters
    return next((name for name in _CACHE_ARGUMENTS if name in known), None)


class PrefixCache:
    """Keys and values of prefixes under `model`, which has no `reuse_obstacle`; each has at least one token.

    `width`: tokens of the longest prefix, to which the others are padded. Made and used under `torch.no_grad`.
    """

    def __init__(self, model: Any, prefixes: Sequence[Sequence[int]]) -> None:
        self._model, self._argument = model, str(_cache_argument(model))
        ids, self._mask = padded(prefixes, model.device)
        self.width = int(ids.shape[1])
        self._cache = need("transformers", "train").DynamicCache(config=model.config)
        model(
            input_ids=ids,
            attention_mask=self._mask,
            use_cache=True,
            logits_to_keep=1,
            **{self._argument: self._cache},
        )

    def logits(self, ids: Tensor, mask: Tensor, prefixes: Sequence[int]) -> Tensor:
        """Logits (n, T, vocabulary) of rows (n, T), padded at their end, of which row i goes on from `prefixes[i]`."""
        torch = need("torch", "train")
        before, cache = self.rows(prefixes)
        # 0 for the padding, whose positions might be more than the model has.
        positions = (before.sum(1, keepdim=True) + torch.arange(ids.shape[1], device=ids.device)) * mask
        return self._model(
            input_ids=ids,
            attention_mask=torch.cat([before, mask], dim=1),
            position_ids=positions,
            use_cache=True,
            **cache,
        ).logits

    def rows(self, prefixes: Sequence[int]) -> tuple[Tensor, dict[str, Any]]:
        """For rows that go on from `prefixes`: the mask (n, width) of these, and the model's argument with their cache."""
        torch = need("torch", "train")
        chosen = torch.tensor(prefixes, device=self._mask.device)
        # A forward pass adds its own keys and values to the cache that it is given.
        cache = copy.deepcopy(self._cache)
        cache.batch_select_indices(chosen)
        return self._mask[chosen], {self._argument: cache}


def _common(a: list[int], b: list[int]) -> int:
    """How many first tokens are equal."""
    shorter = min(len(a), len(b))
    if a[:shorter] == b[:shorter]:
        return shorter
    return next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
