"""Reasoning-SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.verify.sql import SqlFormat, SqlNgram, SqlSchemaLinking

from .registry import adapter


def outcome(reward: Reward, inputs: Mapping[str, Any]) -> float:
    return reward([Chat("", inputs["predicted_sql"], reference=inputs["gold_sql"])]).outcome[0]


@adapter("schema_linking_reward_code_form_gold")
def schema_linking_of_the_code(inputs: Mapping[str, Any]) -> float:
    return outcome(SqlSchemaLinking(form="code"), inputs)


@adapter("schema_linking_reward_paper_form_jaccard")
def schema_linking_of_the_paper(inputs: Mapping[str, Any]) -> float:
    return outcome(SqlSchemaLinking(form="paper"), inputs)


@adapter("bigram_jaccard_normalised_sql_word_tokens")
def bigrams(inputs: Mapping[str, Any]) -> float:
    return outcome(SqlNgram(n=2), inputs)


@adapter("format_reward_four_tags_worth_0_125_each")
def tags(inputs: Mapping[str, Any]) -> float:
    return SqlFormat()([Chat("", inputs["text"])]).outcome[0]
