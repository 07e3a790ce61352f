"""A causal language model of the Hugging Face kind, given loaded or by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guerdon.core.extras import need


def loaded_causal(
    model: Any, tokenizer: Any = None, *, device: str | None = None, dtype: Any = "auto"
) -> tuple[Any, Any]:
    """The model and its tokenizer.

    `model`: a folder or Hugging Face id, loaded onto `device`, by default a GPU where there is one; or a loaded model,
    which is given back as it is and needs its `tokenizer`. Raises `TypeError` where that is missing. Needs
    `guerdon[train]`.
    """
    if isinstance(model, (str, Path)):
        torch, transformers = need("torch", "train"), need("transformers", "train")
        tokenizer = tokenizer or transformers.AutoTokenizer.from_pretrained(model)
        model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    elif tokenizer is None:
        raise TypeError("tokenizer: a model that is loaded already needs one")
    return model, tokenizer


def as_name(model: Any) -> Any:
    """The name of a model that is given as a path; any other model as it is."""
    return str(model) if isinstance(model, Path) else model


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end what the model generates."""
    ends = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
