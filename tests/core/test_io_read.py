"""Reading: every layout, its detection, and what becomes of rows that can't be read."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guerdon.core.io import FormatError, iter_read, read
from guerdon.core.messages import tool_calls_of
from guerdon.core.samples import Chat, Episode, Media, group_codes

USER = {"role": "user", "content": "2+2?"}
SYSTEM = {"role": "system", "content": "Be short."}
FOUR = {"role": "assistant", "content": "4"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 2}'}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "4"}


def jsonl(path: Path, *lines: Any) -> Path:
    """A file of lines; bytes as they are, anything else as JSON."""
    path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))
    return path


def row(**fields: Any) -> dict[str, Any]:
    return {"prompt": "2+2?", "completion": "4", **fields}


class TestFormats:
    def test_native(self) -> None:
        samples = read(
            [
                row(reference="4", group=7, source="exam"),
                {"prompt": [USER], "completion": [CALL, RESULT, FOUR]},
            ]
        )
        assert samples.format == "native"
        assert list(samples) == [
            Chat("2+2?", "4", "4", 7, {"source": "exam"}),
            Chat([USER], [CALL, RESULT, FOUR]),
        ]
        assert samples.rows == [0, 1]
        assert samples.rejects == []

    @pytest.mark.parametrize("column", ["solution", "answer"])
    def test_trl(self, column: str) -> None:
        samples = read(
            [row(**{column: "4"}), {"prompt": [USER], "completion": [FOUR], column: "4", "tools": []}]
        )
        assert samples.format == "trl"
        assert list(samples) == [Chat("2+2?", "4", "4"), Chat([USER], [FOUR], "4", extra={"tools": []})]

    def test_prompt_only_data_needs_the_flag(self) -> None:
        rows = [{"prompt": [USER], "solution": "4"}]
        assert [reject.reason for reject in read(rows).rejects] == ["no completion"]
        assert list(read(rows, require_completion=False)) == [Chat([USER], "", "4")]

    @pytest.mark.parametrize("column", ["completion", "responses", "response"])
    def test_verl(self, column: str) -> None:
        verl = {
            "data_source": "exam",
            "prompt": [USER],
            "reward_model": {"style": "rule", "ground_truth": "4"},
            "extra_info": {"index": 3},
        }
        extra = {"data_source": "exam", "reward_model": {"style": "rule"}, "extra_info": {"index": 3}}
        samples = read([{**verl, column: "4"}])
        assert samples.format == "verl"
        assert list(samples) == [Chat([USER], "4", "4", extra=extra)]
        assert read([verl]).rejects[0].reason == "no completion"
        assert verl["reward_model"] == {"style": "rule", "ground_truth": "4"}, "the caller's row was changed"

    def test_several_answers_in_a_row_are_one_group(self) -> None:
        verl = {"prompt": "2+2?", "reward_model": {"ground_truth": "4"}, "responses": ["4", "5", [FOUR]]}
        samples = read([row(completion="1", reward_model={}), verl | {"prompt": "3+1?"}])
        assert [sample.completion for sample in samples] == ["1", "4", "5", [FOUR]]
        assert samples.rows == [0, 1, 1, 1]
        assert group_codes(samples).tolist() == [0, 1, 1, 1]

    def test_openai_log_is_cut_after_the_last_user_message(self) -> None:
        samples = read(
            [{"messages": [SYSTEM, USER, FOUR, USER, CALL, RESULT, FOUR], "tools": ["add"], "reference": 4}]
        )
        assert samples.format == "openai"
        assert list(samples) == [
            Chat([SYSTEM, USER, FOUR, USER], [CALL, RESULT, FOUR], 4, extra={"tools": ["add"]})
        ]
        assert samples[0].tool_calls[0].arguments == {"a": 2, "b": 2}

    def test_openai_log_without_a_user_is_cut_before_the_first_assistant_message(self) -> None:
        assert list(read([{"messages": [SYSTEM, CALL, RESULT, FOUR]}])) == [
            Chat([SYSTEM], [CALL, RESULT, FOUR])
        ]

    @pytest.mark.parametrize(
        ("messages", "reason"),
        [
            ([USER], "no completion"),
            ([FOUR], "no prompt: the chat starts with an assistant message"),
            ([USER, RESULT], "completion: expected at least one assistant message, got none"),
            ([], "messages: expected at least one message, got an empty list"),
            ([{"role": "robot", "content": ""}], "messages[0].role: expected one of"),
            (None, "no messages"),
        ],
    )
    def test_openai_logs_without_an_answer(self, messages: Any, reason: str) -> None:
        assert read([{"messages": messages}]).rejects[0].reason.startswith(reason)

    @pytest.mark.parametrize(
        "log",
        [
            {"messages": [USER], "choices": [{"message": FOUR}, {"message": CALL}]},
            {
                "request": {"messages": [USER]},
                "response": {"choices": [{"message": FOUR}, {"message": CALL}]},
            },
            {
                "body": {"messages": [USER]},
                "response": {"body": {"choices": [{"message": FOUR}, {"message": CALL}]}},
            },
        ],
    )
    def test_openai_choices_are_answers_to_one_prompt(self, log: dict[str, Any]) -> None:
        before = json.dumps(log)
        samples = read([log])
        assert samples.format == "openai"
        assert [(s.prompt, s.completion) for s in samples] == [([USER], [FOUR]), ([USER], [CALL])]
        assert len(set(group_codes(samples).tolist())) == 1
        assert "choices" not in json.dumps(samples[0].extra)
        assert json.dumps(log) == before, "the caller's row was changed"

    def test_openai_tools_stand_in_extra_wherever_they_were(self) -> None:
        log = {
            "request": {"messages": [USER], "tools": ["add"], "model": "m"},
            "response": {"choices": [{"message": FOUR}]},
        }
        assert read([log])[0].extra == {"tools": ["add"], "request": {"model": "m"}, "response": {}}

    def test_openai_choice_that_is_no_message(self) -> None:
        assert read([{"messages": [USER], "choices": [{"text": "4"}]}]).rejects[0].reason == (
            "choices[0].message: expected a message, got NoneType"
        )

    def test_episode_from_plain_lists(self) -> None:
        samples = read(
            [{"observations": [[0.0], [1.0]], "actions": [1], "rewards": [1], "terminated": True, "seed": 3}]
        )
        assert samples.format == "episode"
        episode = samples[0]
        assert isinstance(episode, Episode)
        assert episode.observations.shape == (2, 1)
        assert (episode.rewards.tolist(), episode.terminated, episode.extra) == ([1.0], True, {"seed": 3})

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"actions": None}, "no actions"),
            ({"terminated": "no"}, "terminated: expected true or false"),
            ({"observations": [[0.0]]}, "Episode.observations: expected T+1 = 2 rows"),
            ({"observations": [[0.0], [0.0, 1.0]]}, "setting an array element"),
        ],
    )
    def test_episode_that_does_not_fit(self, change: dict[str, Any], reason: str) -> None:
        good = {"observations": [[0.0], [1.0]], "actions": [1], "rewards": [1]}
        assert read([good, good | change]).rejects[0].reason.startswith(reason)


class TestDetection:
    def test_first_row_that_fits_decides_and_the_others_are_rejected(self) -> None:
        samples = read([{"note": "header"}, row(reference="4")])
        assert samples.format == "native"
        assert len(samples) == 1
        assert [(reject.line, reject.reason) for reject in samples.rejects] == [(1, "no prompt")]

    def test_unknown_columns_are_listed_with_a_hint(self) -> None:
        with pytest.raises(
            FormatError, match=r"columns question, output\. Known: native .*columns=\{'prompt'"
        ):
            read([{"question": "2+2?", "output": "4"}])

    def test_format_can_be_stated(self) -> None:
        assert read([row(messages=[USER, FOUR])], format="openai")[0].prompt == [USER]
        with pytest.raises(
            FormatError, match="expected one of native, trl, verl, openai, episode, got 'alpaca'"
        ):
            read([row()], format="alpaca")  # type: ignore[arg-type]

    def test_columns_are_mapped(self) -> None:
        data = [{"q": "2+2?", "hint": "Add.", "out": "4", "meta": {"truth": {"value": 4}}, "model.name": "m"}]
        samples = read(
            data,
            columns={
                "prompt": ("q", "hint"),
                "completion": "out",
                "reference": "meta.truth.value",
                "group": "model.name",
            },
        )
        assert list(samples) == [Chat("2+2?\nAdd.", "4", 4, "m", {"meta": {"truth": {"value": 4}}})]

    def test_one_column_can_be_two_fields(self) -> None:
        samples = read([{"prompt": "p", "out": "4"}], columns={"completion": "out", "reference": "out"})
        assert list(samples) == [Chat("p", "4", "4")]

    def test_mapped_column_takes_the_place_of_the_native_one(self) -> None:
        assert read([row(reference="4", other="5")], columns={"completion": "other"})[0].completion == "5"

    def test_mapping_to_an_absent_column_is_an_error_and_not_a_missing_reference(self) -> None:
        with pytest.raises(
            FormatError,
            match=r"columns\['reference'\]: no column 'lable'; the columns are prompt, completion",
        ):
            read([row(label="4")], columns={"reference": "lable"})

    def test_mapping_of_an_unknown_field(self) -> None:
        with pytest.raises(FormatError, match="got 'refrence'"):
            read([row(label="4")], columns={"refrence": "label"})

    def test_columns_that_can_not_be_joined_reject_the_row(self) -> None:
        data = [{"a": "x", "b": None, "completion": "y"}, {"a": "x", "b": "z", "completion": "y"}]
        samples = read(data, columns={"prompt": ("a", "b")})
        assert [sample.prompt for sample in samples] == ["x\nz"]
        assert samples.rejects[0].reason == "columns a + b: expected text in each, to be joined"


class TestSources:
    LINE = json.dumps({"prompt": "p", "completion": "é"}, ensure_ascii=False).encode()

    @pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json", "a.json.gz", "A.JSONL"])
    def test_suffixes(self, tmp_path: Path, name: str) -> None:
        array = Path(name.removesuffix(".gz")).suffix == ".json"
        data = b"[%b,\n%b]" if array else b"%b\r\n\n%b"
        data %= self.LINE, self.LINE
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        samples = read(path)
        assert list(samples) == [Chat("p", "é")] * 2
        assert samples.source == str(path)
        assert list(read(str(path))) == list(samples)

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        assert len(read(jsonl(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + self.LINE))) == 1

    def test_json_file_of_one_object_or_of_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(json.dumps({"prompt": "p", "completion": "c"}, indent=2))
        assert list(read(path)) == [Chat("p", "c")]
        path.write_bytes(self.LINE + b"\n" + self.LINE)
        assert len(read(path)) == 2

    def test_json_array_keeps_lines_and_the_good_rows(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(
            '[\n{"prompt": "p", "completion": "a"},\n{"prompt": NaN, "completion": "b"},\n\n7, {"prompt": "p"\n}]'
        )
        samples = read(path)
        assert [sample.completion for sample in samples] == ["a"]
        assert samples.rows == [0]
        assert [(reject.line, reject.reason, reject.raw) for reject in samples.rejects] == [
            (3, "NaN is not JSON", '{"prompt": NaN, "completion": "b"}'),
            (5, "expected a JSON object, got int", "7"),
            (5, "no completion", '{"prompt": "p"\n}'),
        ]

    @pytest.mark.parametrize(
        "tail", [',{"prompt": oops}, {"a": 1}]', "", ' "x"', "] junk", "," + "[" * 100_000]
    )
    def test_broken_json_array_loses_nothing_before_or_after_the_error(
        self, tmp_path: Path, tail: str
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text('[{"prompt": "p", "completion": "a"}' + tail)
        samples = read(path)
        text = "".join(reject.raw for reject in samples.rejects)
        assert len(samples) + len(samples.rejects) >= 1
        assert samples.rejects[-1].reason.startswith("invalid JSON")
        assert text.endswith(tail.removeprefix(",").strip().removeprefix("] "))

    def test_parquet_and_nulls_of_messages(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"q": 1}}}]}
        rows = [
            {"prompt": [USER], "completion": [FOUR], "reference": None, "score": None},
            {"prompt": [USER], "completion": [call], "reference": "4", "score": 0.5},
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        samples = read(path)
        assert list(samples) == [
            Chat([USER], [FOUR], extra={"score": None}),
            Chat([USER], [call], "4", extra={"score": 0.5}),
        ]
        assert [list(part) for part in iter_read(path, chunk=1)] == [[samples[0]], [samples[1]]]

    def test_hugging_face_dataset(self) -> None:
        datasets = pytest.importorskip("datasets")
        rows = [
            {"prompt": [USER], "completion": [FOUR], "solution": "4"},
            {"prompt": [USER], "completion": [CALL], "solution": "5"},
        ]
        data = datasets.Dataset.from_list(rows)
        expected = [
            Chat([USER], [FOUR], "4"),
            Chat([USER], [{k: v for k, v in CALL.items() if v is not None}], "5"),
        ]
        for source in (data, data.with_format("numpy"), data.to_iterable_dataset()):
            samples = read(source)
            assert samples.format == "trl"
            assert list(samples) == expected
        assert tool_calls_of(samples[1].completion[0])[0].arguments == {"a": 2, "b": 2}
        with pytest.raises(ValueError, match="choose one of 'train', 'test'"):
            read(datasets.DatasetDict({"train": data, "test": data}))

    def test_samples_in_memory_stay_as_they_are(self) -> None:
        given = [Chat("p", "c"), Media("p", image=np.zeros((1, 1, 3)))]
        samples = read(given)
        assert samples[0] is given[0]
        assert samples[1] is given[1]
        assert samples.rows == [0, 1]

    @pytest.mark.parametrize("chunk", [1, 2, 100])
    def test_streaming_gives_the_same_as_reading(self, tmp_path: Path, chunk: int) -> None:
        path = jsonl(
            tmp_path / "a.jsonl", row(), b"{", row(reference="4"), {"prompt": "p"}, row(completion=["4", "5"])
        )
        whole, parts = read(path), list(iter_read(path, chunk=chunk))
        assert [sample for part in parts for sample in part] == list(whole)
        assert [number for part in parts for number in part.rows] == whole.rows == [0, 2, 4, 4]
        assert [reject for part in parts for reject in part.rejects] == whole.rejects

    @pytest.mark.parametrize("name", ["a.csv", "a", "a.json.zst"])
    def test_unknown_suffix(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match=r"expected a name that ends in \.jsonl"):
            read(tmp_path / name)

    def test_absent_file_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"absent\.jsonl: no such file"):
            read(tmp_path / "absent.jsonl")
        (tmp_path / "a.jsonl").mkdir()
        with pytest.raises(ValueError, match="expected a file, got a folder"):
            read(tmp_path / "a.jsonl")

    @pytest.mark.parametrize(
        ("source", "error"), [(None, TypeError), (3, TypeError), ({"prompt": "p"}, ValueError)]
    )
    def test_no_source(self, source: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="source: expected"):
            read(source)

    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            ("a.jsonl.gz", gzip.compress(LINE * 1000)[:-20], "ended before"),
            ("a.jsonl.gz", b"plain text", "[Nn]ot a gzip"),
            ("a.parquet", b"PAR1 but not really", "[Pp]arquet"),
            ("a.parquet", b"", "[Pp]arquet"),
        ],
    )
    def test_broken_containers(self, tmp_path: Path, name: str, data: bytes, reason: str) -> None:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}: can't be read on: .*{reason}"):
            read(tmp_path / name)

    def test_chunk_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="chunk: expected at least 1, got 0"):
            iter_read([row()], chunk=0)


class TestNastyInput:
    @pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
    def test_empty_file(self, tmp_path: Path, name: str, data: bytes) -> None:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="no rows"):
            read(tmp_path / name)

    def test_empty_list_and_empty_parquet(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no rows"):
            read([])
        pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "a.parquet")
        with pytest.raises(ValueError, match="no rows"):
            read(tmp_path / "a.parquet")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"prompt": "p", "completion": "\xff"}', "not UTF-8: byte 0xff at 31"),
            (b'{"prompt": "p", "completion": "c"', "invalid JSON: Expecting ',' delimiter at character 33"),
            (b'{"prompt": "p", "completion": "c"} {}', "invalid JSON: Extra data"),
            (b'{"prompt": "p", "completion": "c", "reference": NaN}', "NaN is not JSON"),
            (b'{"prompt": "p", "completion": "c", "reference": [-Infinity]}', "-Infinity is not JSON"),
            (
                b'{"prompt": "p", "completion": "c", "reference": 1e999}',
                "1e999 is beyond the range of float64",
            ),
            (
                b'{"prompt": "p", "completion": "c", "reference": 1, "reference": 2}',
                "the key 'reference' stands twice",
            ),
            (b'{"prompt": "p", "completion": "\\ud83d"}', "lone surrogate U+D83D in a string"),
            (b'{"prompt": "p", "completion": "c", "\\uDE00": 1}', "lone surrogate U+DE00 in a string"),
            (
                b'{"prompt": "p", "completion": "c", "x": ' + b"[" * 101 + b"]" * 101 + b"}",
                "nested deeper than 100 levels",
            ),
            (b"[" * 100_000, "nested deeper than 100 levels"),
            (b'{"x":' * 100_000, "nested deeper than 100 levels"),
            (b'["p", "c"]', "expected a JSON object, got list"),
            (b'{"prompt": "p", "completion": null}', "no completion"),
            (
                b'{"prompt": "p", "completion": []}',
                "completion: expected at least one message, got an empty list",
            ),
            (b'{"prompt": "p", "completion": 4}', "completion: expected text or a list of messages, got int"),
            (b'{"prompt": "p", "completion": ["4", 5]}', "completion[0]: expected a message"),
            (
                b'{"prompt": "p", "completion": [{"role": "user", "content": "c"}]}',
                "completion: expected at least one assistant",
            ),
            (
                b'{"prompt": "p", "completion": [{"role": "assistant", "content": 5}]}',
                "completion[0].content: expected text",
            ),
            (
                b'{"prompt": {"role": "user"}, "completion": "c"}',
                "prompt: expected text or a list of messages, got dict",
            ),
            (
                b'{"prompt": "p", "completion": "c", "group": 1.5}',
                "group: expected text or an integer, got float",
            ),
            (b"\x00\x00", "invalid JSON"),
            (b'{"prompt": "p", "completion": "c", "reference": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        ],
    )
    def test_row_is_rejected_with_its_reason_and_the_rest_is_read(
        self, tmp_path: Path, line: bytes, reason: str
    ) -> None:
        path = jsonl(tmp_path / "a.jsonl", row(), line, row(reference="4"))
        samples = read(path)
        assert list(samples) == [Chat("2+2?", "4"), Chat("2+2?", "4", "4")]
        assert samples.rows == [0, 2]
        (reject,) = samples.rejects
        assert (reject.file, reject.line) == (str(path), 2)
        assert reject.reason.startswith(reason)
        assert reject.raw.encode("utf-8", "surrogateescape") == line

    def test_file_without_a_readable_row(self, tmp_path: Path) -> None:
        samples = read(jsonl(tmp_path / "a.jsonl", b"{", b"}"))
        assert (list(samples), samples.format, len(samples.rejects)) == ([], None, 2)

    def test_valid_json_that_looks_suspicious_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        wide = row(reference=[[]] * 200, text="😀 \\ud83d [[[")
        path.write_text(json.dumps(wide) + "\n")
        assert list(read(path)) == [Chat("2+2?", "4", [[]] * 200, extra={"text": "😀 \\ud83d [[["})]

    @pytest.mark.parametrize("number", [2**53 + 1, 2**63, -(10**30), 0.1, 5e-324, -0.0])
    def test_numbers_stay_exact(self, tmp_path: Path, number: float) -> None:
        (sample,) = read(jsonl(tmp_path / "a.jsonl", row(reference=number)))
        assert (sample.reference, type(sample.reference)) == (number, type(number))
        assert math.copysign(1, sample.reference) == math.copysign(1, number)

    def test_missing_reference_is_none_and_not_a_guess(self, tmp_path: Path) -> None:
        samples = read(
            jsonl(tmp_path / "a.jsonl", row(), row(reference=None), row(reference=""), row(reference=0))
        )
        assert [sample.reference for sample in samples] == [None, None, "", 0]

    def test_ten_megabytes_of_text(self, tmp_path: Path) -> None:
        big = "é[{" * (10 << 18)
        samples = read(jsonl(tmp_path / "a.jsonl", row(completion=big), row()))
        assert samples[0].completion == big
        assert len(samples) == 2

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_reference_that_is_not_finite_is_rejected_from_any_source(
        self, tmp_path: Path, value: float
    ) -> None:
        rows = [row(reference=1.0), row(reference=value)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        for source in (rows, tmp_path / "a.parquet"):
            samples = read(source)
            assert [sample.reference for sample in samples] == [1.0]
            assert [(reject.line, reject.reason) for reject in samples.rejects] == [
                (2, f"reference is {value}")
            ]

    def test_rows_in_memory_are_checked_as_well(self) -> None:
        deep: Any = "x"
        for _ in range(5000):
            deep = [deep]
        cyclic = row()
        cyclic["self"] = cyclic
        samples = read(
            [row(), row(completion="\ud800"), row(reference=deep), cyclic, "text", row(tag=b"\xff")]
        )
        assert len(samples) == 2
        assert [reject.line for reject in samples.rejects] == [2, 3, 4, 5]
        assert [reject.reason for reject in samples.rejects] == [
            "lone surrogate U+D800 in a string",
            "nested deeper than 100 levels",
            "nested deeper than 100 levels",
            "expected a mapping or a sample, got str",
        ]
        assert json.loads(samples.rejects[0].raw)["completion"] == "\ud800"

    def test_parquet_text_that_is_not_utf8(self, tmp_path: Path) -> None:
        texts = pa.array([b"fine", b"\xffbad"])
        bad = pa.Array.from_buffers(pa.string(), 2, texts.buffers())
        role = pa.array(["assistant", "assistant"])
        messages = pa.ListArray.from_arrays(
            pa.array([0, 1, 2], pa.int32()), pa.StructArray.from_arrays([role, bad], ["role", "content"])
        )
        table = pa.table({"prompt": ["p", "p"], "completion": messages, "tag": bad.dictionary_encode()})
        pq.write_table(table, tmp_path / "a.parquet")
        samples = read(tmp_path / "a.parquet")
        assert [sample.text for sample in samples] == ["fine"]
        (reject,) = samples.rejects
        assert (reject.line, reject.reason) == (2, "not UTF-8: invalid start byte at 0")
        content = json.loads(reject.raw)["completion"][0]["content"]
        assert content.encode("utf-8", "surrogateescape") == b"\xffbad"

    def test_parquet_with_two_columns_of_one_name(self, tmp_path: Path) -> None:
        table = pa.Table.from_arrays(
            [pa.array(["p"]), pa.array(["a"]), pa.array(["b"])], ["prompt", "completion", "completion"]
        )
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(ValueError, match="two columns have the same name"):
            read(tmp_path / "a.parquet")


class TestRealRecords:
    def test_verl_parquet(self, shared_data: Path) -> None:
        path = shared_data / "rlla_verl_test.parquet"
        assert {reject.reason for reject in read(path).rejects} == {"no completion"}
        samples = read(path, columns={"completion": "reward_model.ground_truth"})
        assert (samples.format, len(samples), samples.rejects) == ("verl", 80, [])
        assert all(sample.completion == sample.reference for sample in samples)
        assert [sample.extra["extra_info"]["index"] for sample in samples] == list(range(80))
        assert [message["role"] for message in samples[0].prompt] == ["system", "user"]

    def test_instruction_input_output(self, shared_data: Path) -> None:
        samples = read(
            shared_data / "rlla_dialogues.jsonl.gz",
            columns={"prompt": ("instruction", "input"), "completion": "output", "reference": "output"},
        )
        assert (len(samples), samples.rejects) == (200, [])
        assert samples[0].prompt.startswith("You are a helpful multi-turn dialogue assistant")
        assert "<user>" in samples[0].prompt

    def test_eight_answers_a_problem(self, shared_data: Path) -> None:
        samples = read(
            shared_data / "math_rm_at_8.jsonl.gz",
            columns={"prompt": "question", "completion": "code", "reference": "gt"},
        )
        assert len(samples) == 400
        assert np.bincount(group_codes(samples)).tolist() == [8] * 50

    def test_answer_inside_a_column(self, shared_data: Path) -> None:
        samples = read(
            shared_data / "gsm8k_model_solutions.jsonl.gz",
            columns={
                "prompt": "question",
                "completion": "175b_verification.solution",
                "reference": "ground_truth",
            },
        )
        assert (len(samples), samples.rejects) == (660, [])
        assert samples[0].completion == samples[0].extra["175b_verification"]["solution"]

    def test_whole_json_file(self, shared_data: Path) -> None:
        path = shared_data / "apibank_level1.json.gz"
        with pytest.raises(FormatError, match="columns system, user, answer, other"):
            read(path)
        columns = {"prompt": ("system", "user"), "reference": "answer"}
        samples = read(path, columns=columns, require_completion=False)
        assert (len(samples), samples.rejects) == (399, [])
        assert samples[0].reference[0]["name"] == "ModifyRegistration"
