"""Self-aligned reward: how much less surprising an answer is once its question is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import array_api_compat

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.messages import message_text
from guerdon.core.registry import register
from guerdon.core.samples import Chat, Sample
from guerdon.core.signal import Abstain, Failure, Score, Signal, Value
from guerdon.models.checks import check_shapes, widened
from guerdon.models.log_probs import LogProbPair, LogProbs, paired_log_probs
from guerdon.models.margin import Array
from guerdon.models.perplexity import log_perplexity
from guerdon.models.source import LogProbReward

Form: TypeAlias = Literal["relative", "difference", "absolute"]
SYSTEM_ROLES = ("system", "developer")
ABSOLUTE_SHIFT = 5.0
_compat: Any = array_api_compat


def self_aligned_reward(
    log_given: Array,
    log_alone: Array,
    *,
    form: Form = "relative",
    use_log: bool = False,
    cap: float | None = None,
    epsilon: float = 1e-9,
) -> Array:
    """Drop of an answer's perplexity when the question is put in front of it.

        relative     R = max(−1, (A − Q) / (A + epsilon))        in [−1, 1]
        difference   R = A − Q
        absolute     R = 5 − Q                                   entropy minimisation; the 5 only shifts
        Q = ppl(answer | question),    A = ppl(answer)           or their logarithms with `use_log`

    A token that draws information from the question raises the reward, one that repeats what the answer said lowers it.

    Args:
        log_given, log_alone: (…) log Q and log A, finite and at least 0; see `log_perplexity`.
        form: which comparison.
        use_log: compare log-perplexities.
        cap: above 1: the largest value that Q and A count with, or that their logarithms do with `use_log`.
        epsilon: above 0. The paper has none; at 1e-9, the released code's, its effect can't be seen unless log A is
            about as small.

    Returns:
        (…) in the namespace of the inputs, float32 for half precision. The relative form of perplexities is taken from `log Q − log A`, and so
        doesn't overflow.

    Raises:
        ValueError: where shapes differ, a logarithm is negative or not finite, or, in the other two forms, its
            perplexity isn't a finite number of that dtype; and for unknown options.

    "Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489, repository
    amazon-science/Self-Aligned-Reward-Towards_Effective_and_Efficient_Reasoners.
    """
    _check_options(form, cap, epsilon)
    check_shapes(tuple(log_given.shape), log_alone=log_alone)
    xp = _compat.array_namespace(log_given)
    given, alone = (
        _capped(widened(logs), name, cap, use_log)
        for logs, name in ((log_given, "log_given"), (log_alone, "log_alone"))
    )
    if form == "relative" and use_log:
        return xp.clip((alone - given) / (alone + epsilon), min=-1.0)
    if form == "relative":
        # Beyond a gap of 1 the floor holds anyway, and the exponential could overflow.
        gap = xp.clip(given - alone, max=1.0)
        return xp.clip(-xp.expm1(gap) / (1 + epsilon * xp.exp(-alone)), min=-1.0)
    if not use_log:
        given, alone = _exponential(given, "log_given"), _exponential(alone, "log_alone")
    return alone - given if form == "difference" else ABSOLUTE_SHIFT - given


def without_question(sample: Chat, *, placeholder: str = "", system_as_user: bool = False) -> Chat:
    """The same completion behind a prompt that asks nothing.

    System messages stay and `placeholder` stands where the user spoke. With `system_as_user`, for templates without
    a system role, the text of the system messages is the only user turn. A prompt that is text becomes `placeholder`.
    """
    if isinstance(sample.prompt, str):
        return replace(sample, prompt=placeholder)
    system = [message for message in sample.prompt if message["role"] in SYSTEM_ROLES]
    if system_as_user and system:
        return replace(sample, prompt=[{"role": "user", "content": "\n".join(map(message_text, system))}])
    return replace(sample, prompt=[*system, {"role": "user", "content": placeholder}])


@register("self_aligned", example="{reward: self_aligned, use_log: true}")
class SelfAligned(LogProbReward):
    """Drop of the answer's perplexity under the policy when it sees the question, in [−1, 1] by default.

        R = self_aligned_reward(log ppl(y|x), log ppl(y|x₀), …)        see there for the forms and options

    x₀ is the prompt without its question, see `without_question`, which takes `placeholder` and `system_as_user`. Keep
    both as they are within a run: chat template and system message stay in front of the first token, and without them
    values differ. A model without a chat template needs a `placeholder` of at least one token.

    `model`: a folder or Hugging Face id, loaded once (`guerdon[train]`), or a `LogProbs`; by default the live policy
    of the context, which must be a `LogProbs` too. Both passes need the same snapshot of it. Only tokens that the
    assistant wrote count.

    `Signal.parts` has `log_perplexity` and `log_perplexity_alone`.

    Never use it alone: it then pays for short answers that are wrong. The published sum, with a constant weight or
    `| schedule`, in a gate that is open wherever correctness is known:

        total:
          gate: {sum: [math, self_aligned], weights: [1.0, 0.2]}
          by: math
          threshold: -1.0

    Validate with correctness only.

    Abstains for a sample that isn't a `Chat` or whose completion has no tokens. A sample that can't be scored, or that
    has different tokens behind the two prompts, fails with its reason; all fail without a source. Scored in this
    process, all samples of a call together. Raises `ValueError` for options that `self_aligned_reward` doesn't take.

    "Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489, repository
    amazon-science/Self-Aligned-Reward-Towards_Effective_and_Efficient_Reasoners.
    """

    name = "self_aligned"

    def __init__(
        self,
        model: str | LogProbs | None = None,
        *,
        form: Form = "relative",
        use_log: bool = False,
        cap: float | None = None,
        epsilon: float = 1e-9,
        placeholder: str = "",
        system_as_user: bool = False,
    ) -> None:
        _check_options(form, cap, epsilon)
        super().__init__(model)
        self.form: Form = form
        self.use_log, self.cap, self.epsilon = use_log, cap, epsilon
        self.placeholder, self.system_as_user = placeholder, system_as_user

    def score(self, sample: Sample, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Sample], context: Context) -> Signal:
        source = self.source(context)
        values: list[Value] = [Abstain(f"expected a Chat, got {type(sample).__name__}") for sample in samples]
        chats = {i: sample for i, sample in enumerate(samples) if isinstance(sample, Chat)}
        alone = [
            without_question(chat, placeholder=self.placeholder, system_as_user=self.system_as_user)
            for chat in chats.values()
        ]
        pairs = paired_log_probs(source, list(chats.values()), source, alone)
        for i, pair in zip(chats, pairs, strict=True):
            values[i] = pair if isinstance(pair, Failure) else self._value(pair)
        return Signal.from_values(values)

    def _value(self, pair: LogProbPair) -> Value:
        written = pair.tokens.written
        if not written.any():
            return Abstain("completion: has no tokens")
        try:
            given, alone = log_perplexity(pair.first, written), log_perplexity(pair.second, written)
            reward = self_aligned_reward(
                given, alone, form=self.form, use_log=self.use_log, cap=self.cap, epsilon=self.epsilon
            )
        except ValueError as error:
            return Failure(str(error))
        parts = {"log_perplexity": float(given), "log_perplexity_alone": float(alone)}
        return Score(float(reward), parts=parts)


def _check_options(form: Form, cap: float | None, epsilon: float) -> None:
    check_choice(form, "form", get_args(Form))
    check_number(epsilon, "epsilon", above=0.0)
    if cap is not None:
        check_number(cap, "cap", above=1.0)


def _capped(logs: Array, name: str, cap: float | None, use_log: bool) -> Array:
    xp = _compat.array_namespace(logs)
    if not bool(xp.all(xp.isfinite(logs) & (logs >= 0))):
        raise ValueError(f"{name}: expected finite numbers of at least 0, got another")
    if cap is None:
        return logs
    return xp.clip(logs, max=float(cap) if use_log else math.log(cap))


def _exponential(logs: Array, name: str) -> Array:
    xp = _compat.array_namespace(logs)
    largest = math.log(float(xp.finfo(logs.dtype).max))
    if not bool(xp.all(logs < largest)):
        raise ValueError(f"{name}: its perplexity is beyond {logs.dtype}; use_log or a cap keeps it finite")
    return xp.exp(logs)
