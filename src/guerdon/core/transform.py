"""Transform: a Signal in, a Signal out. The pieces live in `shape/`; `a | transform` puts one behind a reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.context import Context
from guerdon.core.identity import Spec, digest
from guerdon.core.reward import Scope
from guerdon.core.signal import Signal


class Transform:
    """Base of every transform. Implement `apply`.

    `scope`: what it must see together: "sample" where rows don't depend on each other, "group" or "batch" otherwise.
    A transform never reads sample content; it gets the group code of each row and the context.
    """

    name: str = "transform"
    scope: Scope = "sample"
    spec: Spec | None = None

    def apply(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        """The transformed Signal; rows that aren't OK stay as they are."""
        raise TypeError(f"{type(self).__name__}: a transform implements apply(signal, groups, context)")

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved to go on later."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state

    def fingerprint(self) -> str:
        """Identity of what is computed."""
        config = self.spec if self.spec is not None else {k: v for k, v in vars(self).items() if k[0] != "_"}
        return digest([type(self).__qualname__, self.name, config])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, scope={self.scope}>"
