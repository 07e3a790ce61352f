"""A causal network that reads a window of tokens and remembers: a backbone for reward models at a fraction of a Llama's cost.

It loads torch: import it where it is used.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput


class WindowConfig(transformers.PreTrainedConfig):
    """`vocab_size` · `hidden_size`: of the states · `window`: how many tokens are read together."""

    model_type = "window"

    def __init__(self, vocab_size: int = 1, hidden_size: int = 64, window: int = 6, **rest: Any) -> None:
        super().__init__(**rest)
        self.vocab_size, self.hidden_size, self.window = vocab_size, hidden_size, window


class WindowModel(transformers.PreTrainedModel):
    """A network whose states know the last few tokens, and what was most striking before.

        x_t = relu(A · relu(W · (e_{t−w+1}, …, e_t)))       what is in the window
        h_t = B · (x_t, max_{s ≤ t} x_s)                    state, the maximum taken of each feature

    with embeddings e of a quarter of the width; zeros stand before the first token. Padding has to stand behind.
    """

    config_class = WindowConfig

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, width // 4)
        self.window = nn.Conv1d(width // 4, 2 * width, config.window)
        self.features = nn.Linear(2 * width, width)
        self.state = nn.Linear(2 * width, width)
        self.post_init()

    @classmethod
    def new(cls, tokenizer: Any, seed: int, *, width: int = 64, window: int = 6) -> WindowModel:
        """One with random weights for a tokenizer."""
        transformers.set_seed(seed)
        return cls(WindowConfig(len(tokenizer), width, window))

    def _init_weights(self, module: nn.Module) -> None:
        """Weights stay as torch draws them."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """States (n, T, d) of tokens (n, T)."""
        del attention_mask  # nothing looks ahead to where the padding is
        embedded = self.embedding(input_ids).transpose(1, 2)
        window = self.window(nn.functional.pad(embedded, (self.config.window - 1, 0))).transpose(1, 2)
        features = torch.relu(self.features(torch.relu(window)))
        state: Any = self.state(torch.cat([features, features.cummax(dim=1).values], dim=-1))
        return BaseModelOutput(last_hidden_state=state)
