"""Writing samples: what is written is read back equal, or refused with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from guerdon.core.io import read, sample_record, write_samples
from guerdon.core.io.records import CHAT_FIELDS, EPISODE_FIELDS
from guerdon.core.samples import Chat, Episode, Media, Sample

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
content = (
    st.text()
    | st.none()
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}), max_size=2)
)
calls = st.lists(
    st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": st.text(), "arguments": json_values})}),
    max_size=2,
)
user = st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool"]), "content": content})
assistant = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": content}, optional={"tool_calls": calls}
)
prompts = st.text() | st.lists(user | assistant, min_size=1, max_size=3)
completions = st.text() | st.builds(lambda a, b: [*a, b], st.lists(user | assistant, max_size=2), assistant)
groups = st.none() | st.text() | st.integers()


def extras(fields: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(
        st.text(max_size=6).filter(lambda name: name not in fields), json_values, max_size=3
    )


chats = st.builds(Chat, prompts, completions, json_values, groups, extras(CHAT_FIELDS))
shapes = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)


def arrays(length: int) -> st.SearchStrategy[Any]:
    dtypes = st.sampled_from([np.float32, np.float64, np.uint8, np.int64, np.uint64, np.bool_])
    return st.tuples(dtypes, shapes).flatmap(
        lambda pair: hnp.arrays(
            pair[0],
            (length, *pair[1]),
            elements={"allow_nan": False, "allow_infinity": False} if np.dtype(pair[0]).kind == "f" else None,
        )
    )


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    length = draw(st.integers(0, 3))
    rewards = draw(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=length, max_size=length)
    )
    ending = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    return Episode(
        draw(arrays(length + 1)),
        draw(arrays(length)),
        np.asarray(rewards),
        *ending,
        infos={"height": draw(arrays(length)), "names": draw(st.lists(st.text(), max_size=2))},
        reference=draw(json_values),
        group=draw(groups),
        extra=draw(extras([*EPISODE_FIELDS, "prompt"])),
    )


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


def written(samples: Sequence[Sample]) -> list[str]:
    """The samples as text in which 1, 1.0 and True differ."""
    return [
        f"{type(sample).__name__} {json.dumps(sample_record(sample), sort_keys=True)}" for sample in samples
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(samples=st.lists(chats, min_size=1, max_size=4))
    def test_chats(self, tmp_path_factory: pytest.TempPathFactory, suffix: str, samples: list[Chat]) -> None:
        path = tmp_path_factory.getbasetemp() / f"chats{suffix}"
        write_samples(samples, path)
        back = read(path)
        assert (back.format, back.rejects) == ("native", [])
        assert list(back) == samples
        assert written(back) == written(samples)

    @settings(max_examples=40, deadline=None)
    @given(samples=st.lists(episodes(), min_size=1, max_size=3))
    def test_episodes(
        self, tmp_path_factory: pytest.TempPathFactory, suffix: str, samples: list[Episode]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / f"episodes{suffix}"
        write_samples(samples, path)
        back = read(path)
        assert (back.format, back.rejects) == ("episode", [])
        assert written(back) == written(samples)
        for one, two in zip(back, samples, strict=True):
            assert isinstance(one, Episode)
            for field in ("observations", "actions", "rewards"):
                ours, theirs = getattr(one, field), getattr(two, field)
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
            np.testing.assert_array_equal(one.infos["height"], two.infos["height"])

    @pytest.mark.parametrize(
        "row",
        [
            {"prompt": "p", "completion": "c", "solution": "4", "answer": "four"},
            {
                "prompt": [{"role": "user", "content": "p"}],
                "reward_model": {"ground_truth": "4", "style": "rule"},
                "responses": ["a", "b"],
            },
            {
                "messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}],
                "tools": [{"name": "f"}],
            },
        ],
    )
    def test_every_layout(self, tmp_path: Path, suffix: str, row: dict[str, Any]) -> None:
        samples = read([row])
        write_samples(samples, tmp_path / f"a{suffix}")
        assert list(read(tmp_path / f"a{suffix}")) == list(samples)

    @pytest.mark.parametrize(
        ("sample", "reason"),
        [
            (Chat("p", "c", math.nan), "reference: nan is not JSON"),
            (Chat("p", "c", extra={"a": [{"b": math.inf}]}), "a: inf is not JSON"),
            (Chat("p", "\udc80"), r"completion: lone surrogate U\+DC80"),
            (Chat("p", "c", extra={"a": CYCLE}), "a: nested deeper than 100 levels"),
            (Chat("p", "c", {1, 2}), "reference: set has no form in JSON"),
            (Chat("p", "c", {1: 2}), "reference: expected text as keys"),
            (Chat("p", "c", extra={"group": 1}), r"extra\['group'\] has the name of a field"),
            (Media("p", image=np.zeros((1, 1, 3))), "expected samples of one kind"),
            (Episode(np.zeros(1), np.zeros(0), np.zeros(0)), "expected samples of one kind"),
        ],
    )
    def test_what_can_not_be_written_is_named_and_no_file_is_left(
        self, tmp_path: Path, suffix: str, sample: Sample, reason: str
    ) -> None:
        path = tmp_path / f"a{suffix}"
        write_samples([Chat("p", "c")], path)
        with pytest.raises((TypeError, ValueError), match=rf"samples\[1\]: {reason}"):
            write_samples([Chat("p", "x"), sample], path)
        assert list(read(path)) == [Chat("p", "c")], "the file that was there before is damaged"
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


class TestRecord:
    def test_native_row(self) -> None:
        chat = Chat("p", "c", np.float32(0.5), 3, {"scores": np.array([1, 2]), "pair": (1, None)})
        assert sample_record(chat) == {
            "prompt": "p",
            "completion": "c",
            "reference": 0.5,
            "group": 3,
            "scores": [1, 2],
            "pair": [1, None],
        }

    def test_long_double_is_not_rounded_silently(self) -> None:
        with pytest.raises(TypeError, match=r"reference: .* has no form in JSON"):
            sample_record(Chat("p", "c", np.longdouble(0.1)))

    def test_media_has_no_row(self) -> None:
        with pytest.raises(TypeError, match="got Media, which has no row form"):
            sample_record(Media("p", image=np.zeros((1, 1, 3))))

    @pytest.mark.parametrize(
        "actions", [np.array([object()]), np.zeros(1, np.longdouble), np.array([1j]), np.array([0], "M8[s]")]
    )
    def test_arrays_that_json_can_not_hold(self, actions: Any) -> None:
        with pytest.raises(TypeError, match=r"actions: an array of .* has no form in JSON"):
            sample_record(Episode(np.zeros(2), actions, np.zeros(1)))


def test_parquet_columns_have_plain_types_where_they_can(tmp_path: Path) -> None:
    samples = [
        Chat("p", "c", "4", 1, {"score": 0.5, "mixed": 1}),
        Chat("q", "d", None, None, {"score": 1.0, "mixed": "x"}),
    ]
    write_samples(samples, tmp_path / "a.parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    types = {field.name: str(field.type) for field in schema}
    assert types == {
        "prompt": "string",
        "completion": "string",
        "reference": "string",
        "group": "int64",
        "score": "double",
        "mixed": "string",
    }
    assert json.loads(schema.metadata[b"guerdon"]) == {"version": 1, "json": ["mixed"], "sparse": []}
