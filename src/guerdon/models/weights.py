"""What the weights of a model are, for caches."""

from __future__ import annotations

from typing import Any

from guerdon.core.extras import need
from guerdon.core.identity import digest


def weight_digest(model: Any) -> str:
    """Short hash of the weights of a torch module: another one whenever a weight is another, on any device."""
    # Counts of in-place writes won't do, since fused optimisers don't keep them; sums of floats depend on their order.
    torch = need("torch", "train")
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = [weight.detach().view(integers[weight.element_size()]).sum() for weight in model.parameters()]
    return digest(torch.stack([one.cpu() for one in sums]).tolist())
