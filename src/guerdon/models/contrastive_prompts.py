"""Token rewards that a frozen model gives to responses, by two prompts of opposite intent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from guerdon.core.context import Context
from guerdon.core.messages import message_text
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Failure, Score, Signal, Value
from guerdon.models.log_probs import LogProbs, paired_log_probs
from guerdon.models.source import LogProbReward
from guerdon.models.token_regularisation import contrastive_token_rewards

BETTER = (
    "A user asked:\n{prompt}\n\nA draft of the answer:\n{response}\n\n"
    "Write the answer again so that it is more helpful, correct, coherent and concise."
)
WORSE = (
    "A user asked:\n{prompt}\n\nA draft of the answer:\n{response}\n\n"
    "Write the answer again so that it is unhelpful, incorrect, incoherent and wordy."
)
_FIELD = re.compile(r"\{(prompt|response)\}")
_NOT_ONE_TURN = Abstain("expected a Chat whose completion is one assistant turn")


@register("contrastive_token_reward", example="{reward: contrastive_token_reward, model: models/start}")
class ContrastiveTokenReward(LogProbReward):
    """How much likelier each token of a response is when the model is asked to improve it than to spoil it.

        r̂_t = σ(log p(y_t | x_better, y_<t) − log p(y_t | x_worse, y_<t)) − ½        in [−½, ½]

    Dense values of unit `token`, one for each token of the response as `model` splits it, the end of the turn included;
    0 as the outcome. What is scored is the response itself; nothing is generated.

    `model`: a folder or Hugging Face id, or a `LogProbs`; the paper takes the reference model · `better`, `worse`:
    prompts with the fields `{prompt}` and `{response}`.

    Abstains where the sample isn't a `Chat` of one assistant turn. A sample that can't be scored, whose response has
    different tokens behind the two prompts, or other ones than the policy emitted, fails with its reason. Scored in this process, all samples of a call
    together. Raises `ValueError` where a prompt lacks a field.

    Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv 2412.02685,
    whose wording of the prompts isn't known.
    """

    name = "contrastive_token_reward"

    def __init__(self, model: str | LogProbs, *, better: str = BETTER, worse: str = WORSE) -> None:
        for name, prompt in (("better", better), ("worse", worse)):
            if "{prompt}" not in prompt or "{response}" not in prompt:
                raise ValueError(
                    f"{name}: expected a text with {{prompt}} and {{response}}, got {prompt!r:.80}"
                )
        super().__init__(model)
        self.better, self.worse = better, worse

    def score(self, sample: Chat, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        values: list[Value] = [_NOT_ONE_TURN] * len(samples)
        rows = [i for i, s in enumerate(samples) if isinstance(s, Chat) and len(s.completion_messages) == 1]
        better = [_asked(self.better, samples[i]) for i in rows]
        worse = [_asked(self.worse, samples[i]) for i in rows]
        model = self.source(context)
        for i, pair in zip(rows, paired_log_probs(model, better, model, worse, emitted=True), strict=True):
            if isinstance(pair, Failure):
                values[i] = pair
                continue
            rewards = contrastive_token_rewards(pair.first, pair.second, mask=pair.tokens.written)
            values[i] = Score(dense=rewards, unit="token")
        return Signal.from_values(values)


def _asked(template: str, sample: Chat) -> Chat:
    """The same completion, as an answer to the prompt that `template` makes of the sample."""
    prompt = "\n\n".join(message_text(message) for message in sample.prompt_messages)
    fields = {"prompt": prompt, "response": sample.final}
    emitted = {name: ids for name, ids in sample.extra.items() if name == "completion_ids"}
    return Chat(_FIELD.sub(lambda found: fields[found[1]], template), sample.completion, extra=emitted)
