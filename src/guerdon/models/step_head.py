"""The network of a discriminative process reward model. It loads torch: import it where it is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, cuda, float32, no_grad, random, tensor
from torch.nn import Linear, Module, ReLU, Sequential
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss
from torch.nn.utils.rnn import pad_sequence
from transformers.utils.hub import cached_file

from guerdon.core.checks import check_choice, check_count
from guerdon.core.identity import digest
from guerdon.core.samples import Chat
from guerdon.core.segments import SpanList
from guerdon.models.batches import length_batches, padded
from guerdon.models.completion_log_probs import evaluation_mode
from guerdon.models.encoding import ChatEncoder
from guerdon.models.step_tokens import StepEncoder, StepTokens
from guerdon.models.weights import weight_digest

Output: TypeAlias = Literal["probability", "rating"]
_CONFIG, _WEIGHTS = "step_head.json", "step_head.safetensors"


class StepHead(Module):
    """A language model that gives each step of a chat one number, read at the step's last token.

        z_k = w · h_{e(k)} + b                          linear, the default
        z_k = w · relu(W h_{e(k)} + c) + b              with `hidden`, the width of that layer
        p_k = σ(z_k)  for `probability`,    z_k  for `rating`

    with `h` (T, d) the last hidden states of the backbone and `e(k)` the token at which step k is judged, see `StepEncoder`.
    In a causal backbone p_k is of the prompt and the steps up to k alone; one that reads both ways looks at later steps too.

    Args:
        backbone: a folder or Hugging Face id for `AutoModel`, or a loaded model, of which all but the output layer is
            used, in place. Head and what is loaded here start in float32, since small training steps are lost in less.
        tokenizer: that of a loaded model, a fast one.
        output: `probability` in [0, 1] of labels in [0, 1], hard or soft; `rating` of any number, unbounded.
        hidden: width of a hidden layer of the head.
        separator: what ends a step. Models with a step token of their own have that.
        seed: of the head's first weights.
        dtype: of the weights that are loaded here, as `from_pretrained` of transformers takes it.

    Raises:
        ValueError: for an unknown output, an empty separator, a `hidden` below 1 or a slow tokenizer.
        TypeError: for a loaded backbone that isn't a transformers model, or has no tokenizer with it.

    Data and labels for it: `StepLabels`; training: `fit_step_head`; as a reward: `ProcessReward`. Needs
    `guerdon[train]`.

    Hunter Lightman et al., "Let's Verify Step by Step", arXiv 2305.20050, repository openai/prm800k, for labels of people;
    soft ones: Peiyi Wang et al., "Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations",
    arXiv 2312.08935.
    """

    def __init__(
        self,
        backbone: Any,
        tokenizer: Any = None,
        *,
        output: Output = "probability",
        hidden: int | None = None,
        separator: str = "\n\n",
        seed: int = 0,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_choice(output, "output", get_args(Output))
        if hidden is not None:
            check_count(hidden, "hidden")
        if isinstance(backbone, (str, Path)):
            tokenizer = tokenizer or transformers.AutoTokenizer.from_pretrained(backbone)
            backbone = transformers.AutoModel.from_pretrained(backbone, dtype=dtype)
        elif not isinstance(backbone, transformers.PreTrainedModel):
            raise TypeError(f"backbone: expected a transformers model, got {type(backbone).__name__}")
        elif tokenizer is None:
            raise TypeError("tokenizer: a model that is loaded already needs one")
        self.output: Output = output
        self.hidden, self.separator, self.tokenizer = hidden, separator, tokenizer
        self.backbone: Any = backbone.base_model
        config = self.backbone.config
        self._encode = StepEncoder(ChatEncoder.of(tokenizer, config), separator)
        # Only some models know the option; those that do keep the states of a pass that nothing goes on from.
        self._options = {"use_cache": False} if hasattr(config, "use_cache") else {}
        self.head = _head(config.get_text_config().hidden_size, hidden, seed).to(self.backbone.device)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, device: str | None = None) -> StepHead:
        """One that `save_pretrained` wrote, in evaluation mode and in the precision that it has there.

        `path`: a folder or Hugging Face id · `device`: by default a GPU where there is one. Raises `OSError` where it holds
        no such model.
        """
        files = [cached_file(str(path), name) for name in (_CONFIG, _WEIGHTS)]
        config, weights = (Path(str(file)) for file in files)
        model = cls(path, **json.loads(config.read_text("utf-8")), dtype="auto")
        model.head.load_state_dict(load_file(weights))
        return model.to(device or ("cuda" if cuda.is_available() else "cpu")).eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder: the backbone as an ordinary checkpoint, its tokenizer, the head, and `step_head.json`."""
        folder = Path(path)
        self.backbone.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_file(self.head.state_dict(), folder / _WEIGHTS)
        (folder / _CONFIG).write_text(json.dumps(self._config(), indent=2) + "\n", "utf-8")

    def fingerprint(self) -> str:
        """Identity for caches: a new one whenever a weight is another."""
        return digest([type(self).__qualname__, self._config(), weight_digest(self)])

    def steps(self, sample: Chat, spans: SpanList | None = None) -> StepTokens:
        """The tokens of a sample and its steps, found by the separator or given as spans (k, 2) of `Chat.text`.

        Raises `ValueError` as `StepEncoder` does.
        """
        return self._encode(sample, spans)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, ends: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`logits` (n, K) float32 of the steps that end at positions `ends` (n, K) of the tokens (n, T).

        With `labels` (n, K), NaN where a step has none or a row has no more steps, also their `loss`, see `step_loss`.
        """
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **self._options)
        states = output.last_hidden_state
        chosen = states.take_along_dim(ends[..., None], dim=1)
        logits = self.head(chosen.to(float32)).squeeze(-1)
        return (
            {"logits": logits}
            if labels is None
            else {
                "loss": step_loss(logits, labels, self.output),
                "logits": logits,
            }
        )

    def predict(self, rows: Sequence[StepTokens], *, batch_tokens: int = 4096) -> list[NDArray[np.float64]]:
        """What each step of each row is given (k_i,): p_k or z_k, see above, without dropout.

        `batch_tokens`: most tokens in one pass, padding included; a longer row goes alone.
        """
        found = dict[int, NDArray[np.float64]]()
        with no_grad(), evaluation_mode(self):
            for numbers in length_batches([len(row.ids) for row in rows], batch_tokens):
                logits = self(**step_batch([rows[i] for i in numbers], self.backbone.device))["logits"]
                values = logits.sigmoid() if self.output == "probability" else logits
                for i, row in zip(numbers, values.double().cpu().numpy(), strict=True):
                    found[i] = row[: len(rows[i].ends)]
        return [found[i] for i in range(len(rows))]

    def _config(self) -> dict[str, Any]:
        return {"output": self.output, "hidden": self.hidden, "separator": self.separator}


def step_loss(logits: Tensor, labels: Tensor, output: Output = "probability") -> Tensor:
    """Loss of the steps that have a label, each with the same weight.

        probability    mean −y log σ(z) − (1 − y) log(1 − σ(z))
        rating         mean (z − y)²

    `logits`, `labels`: of one shape; a label of NaN is none, and no gradient comes from its step. For soft labels the
    first one is least at σ(z) = y and isn't 0 there. Raises `ValueError` where no step has a label, since a mean over
    nothing has no value.
    """
    known = ~labels.isnan()
    if not known.any():
        raise ValueError("labels: expected at least one that isn't NaN")
    loss = mse_loss if output == "rating" else binary_cross_entropy_with_logits
    return loss(logits[known], labels[known])


def step_batch(rows: Sequence[StepTokens], device: Any = None) -> dict[str, Tensor]:
    """Rows as arguments of `StepHead.forward`; where a row has fewer steps, `ends` is 0."""
    ids, mask = padded([row.ids for row in rows], device)
    ends = pad_sequence([tensor(row.ends, device=device) for row in rows], batch_first=True)
    return {"input_ids": ids, "attention_mask": mask, "ends": ends}


def _head(width: int, hidden: int | None, seed: int) -> Module:
    # The generator of the caller stays where it was.
    with random.fork_rng(devices=[]):
        random.manual_seed(seed)
        if hidden is None:
            return Linear(width, 1)
        return Sequential(Linear(width, hidden), ReLU(), Linear(hidden, 1))
