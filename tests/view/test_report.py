"""The report of scores and training runs: what is on the page, and what never gets out of its data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guerdon.core.dense import Dense
from guerdon.core.io import to_table, write_table
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.view.report import write_report
from guerdon.view.report.load import load_run
from guerdon.view.report.page import report_data

EVIL = (
    '</script><script>window.taken=1</script><img src=x onerror="window.taken=2"><!-- {{data}} {{script}} -->'
)
OK, ABSTAINED, FAILED, TIMED_OUT = (int(status) for status in Status)
RECIPE = "parts: {right: exact, form: tags}\nweights: {right: 1.0, form: 0.2}\n"


def data_of(page: Path) -> dict[str, Any]:
    """The data that a page carries, found as a browser finds it: up to the first end tag."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found
    return json.loads(found[1])


def scores_file(folder: Path, signal: Signal, samples: Any = None, **metadata: Any) -> Path:
    path = folder / "scores.parquet"
    write_table(to_table(signal, samples, metadata=metadata), path)
    return path


def two_groups() -> tuple[Signal, list[Chat]]:
    samples = [Chat(f"question {i // 3}", f"answer {i}", reference=str(i), group=i // 3) for i in range(6)]
    right = Signal([1, 0, 1, 1, 1, np.nan], [OK] * 5 + [FAILED], reasons={5: "ValueError: no number"})
    form = Signal([1, np.nan, 1, 1, 1, 1], [OK, ABSTAINED, OK, OK, OK, OK], reasons={1: "no tags asked for"})
    signal = Signal(
        [1.2, 0, 1.2, 1.2, 1.2, np.nan],
        [OK] * 5 + [FAILED],
        parts={"right": right, "form": form},
        reasons={5: "right: ValueError: no number"},
        seconds=[0.1, 0.2, 0.3, 0.4, 0.5, 9.0],
    )
    return signal, samples


def test_statistics_count_each_status_apart(tmp_path: Path) -> None:
    data = data_of(write_report(scores_file(tmp_path, *two_groups(), reward=RECIPE)))
    total, right, form = data["stats"][0]
    assert [channel["path"] for channel in data["channels"]] == [[], ["right"], ["form"]]
    assert [channel["weight"] for channel in data["channels"]] == [None, 1.0, 0.2]
    assert total["counts"] == [5, 0, 1, 0]
    assert total["mean"] == pytest.approx(4.8 / 5)
    assert (data["channels"][1]["values"], right["bins"]) == ([0.0, 1.0], [1, 4])
    assert (form["n"], form["counts"], form["bins"]) == (5, [5, 1, 0, 0], [5])


def test_groups_show_which_have_no_signal(tmp_path: Path) -> None:
    groups = data_of(write_report(scores_file(tmp_path, *two_groups())))["groups"]
    assert groups["label"] == ["0", "1"]
    assert groups["flat"] == [False, True]
    assert (groups["n"], groups["ok"], groups["failed"]) == ([3, 3], [3, 2], [0, 1])
    assert groups["mean"] == pytest.approx([0.8, 1.2])
    assert groups["std"][0] == pytest.approx(np.std([1.2, 0, 1.2]), rel=1e-5)
    assert (groups["min"], groups["max"]) == ([0.0, 1.2], [1.2, 1.2])


def test_samples_without_group_are_grouped_by_prompt(tmp_path: Path) -> None:
    samples = [Chat("a", "1"), Chat("b", "2"), Chat("a", "3")]
    data = data_of(write_report(scores_file(tmp_path, Signal([0, 1, 2]), samples)))
    assert data["groups"]["n"] == [2, 1]
    assert data["samples"]["group"] == [0, 1, 0]


def test_reasons_are_counted_where_they_matter(tmp_path: Path) -> None:
    rows = data_of(write_report(scores_file(tmp_path, *two_groups())))["reasons"]["rows"]
    assert {(row["channel"], row["status"], row["reason"], row["count"]) for row in rows} == {
        (0, FAILED, "right: ValueError: no number", 1),
        (2, ABSTAINED, "no tags asked for", 1),
    }


def test_formula_is_the_recipe_in_short(tmp_path: Path) -> None:
    data = data_of(write_report(scores_file(tmp_path, *two_groups(), reward=RECIPE)))
    assert "".join(text for _, text in data["formula"]) == "right + 0.2 · form"
    assert data["recipe"] == RECIPE


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        ("total: {product: [a, {sum: [b, c], weights: [1, -2], bias: 0.5}]}", "a × (b − 2 · c + 0.5)"),
        ("total: {pipe: [{minimum: [a, b]}, {transform: clip, low: 0}]}", "minimum(a, b) | clip(low=0)"),
        ("total: {gate: a, by: {reward: tags, tags: [x]}}", "gate(a, by tags(tags=['x']) > 0)"),
        ("total: {when: has_reference, then: a}", "a when has_reference"),
        ("weights: {a: 1, b: 1}\ntransforms: [center]", "(a + b) | center"),
        ("total: {", ""),
        ("just text", ""),
    ],
)
def test_formulas(tmp_path: Path, recipe: str, text: str) -> None:
    data = report_data(load_run(scores_file(tmp_path, Signal([1.0]), reward=recipe)))
    assert "".join(piece for _, piece in data["formula"]) == text


def test_page_loads_nothing_and_lets_nothing_in(tmp_path: Path) -> None:
    samples = [Chat(EVIL, EVIL, reference=EVIL, group=EVIL), Chat([{"role": "user", "content": EVIL}], EVIL)]
    signal = Signal(
        [1, np.nan],
        [OK, FAILED],
        parts={EVIL: Signal([1, 1], parts={"inner/" + EVIL: Signal([0, 1])})},
        reasons={1: EVIL},
        notes={0: EVIL},
    )
    page = write_report(scores_file(tmp_path, signal, samples, reward=EVIL, data=EVIL))
    html = page.read_text("utf-8")
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', html)
    assert not re.search(r"@import|url\(", html)
    assert "default-src 'none'" in html
    assert html.count("<script") == 2
    assert "<img" not in html
    data = data_of(page)
    assert data["texts"][data["details"][0]["prompt"]][0]["text"] == EVIL
    assert [channel["path"] for channel in data["channels"]] == [[], [EVIL], [EVIL, "inner/" + EVIL]]
    assert data["details"][1]["reasons"]["0"] == EVIL


def test_lone_surrogates_and_line_separators_reach_the_page(tmp_path: Path) -> None:
    samples = [Chat([{"role": "user", "content": "a\ud800b"}], "x\u2028y\x00")]
    data = data_of(write_report(scores_file(tmp_path, Signal([1.0]), samples)))
    assert data["texts"][0][0]["text"].startswith("a")
    assert data["texts"][1][0]["text"] == "x\u2028y\x00"


def test_messages_keep_calls_turns_and_offsets(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": '{"q": "Malta"}'}}
    completion = [
        {"role": "assistant", "content": "🦆 look", "tool_calls": [call]},
        {
            "role": "tool",
            "content": [{"type": "text", "text": "found"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": "done"},
    ]
    sample = Chat("How many?", completion)
    dense = Dense.from_rows([[0.5, -1.0]], "step", [[(0, 6), (7, 11)]])
    assert sample.text[7:11] == "done"
    data = data_of(write_report(scores_file(tmp_path, Signal([0.0], dense=dense), [sample])))
    first, tool, last = data["texts"][data["details"][0]["completion"]]
    assert (first["index"], first["turn"], first["at"]) == (0, 0, 0)
    assert (last["index"], last["turn"], last["at"]) == (2, 1, 7)
    assert (first["calls"][0]["name"], json.loads(first["calls"][0]["arguments"])) == (
        "search",
        {"q": "Malta"},
    )
    assert (tool["text"], tool["other"]) == ("found", ["image_url"])
    assert data["details"][0]["dense"]["0"] == {
        "unit": "step",
        "values": [0.5, -1.0],
        "size": 2,
        "spans": [[0, 6], [7, 11]],
    }


def test_text_that_only_looks_like_messages_stays_text(tmp_path: Path) -> None:
    texts = ['[{"role": "nobody"}]', "[1, 2", "[" * 100_000]
    data = data_of(
        write_report(scores_file(tmp_path, Signal([0.0] * 3), [Chat("q", text) for text in texts]))
    )
    shown = [data["texts"][detail["completion"]][0]["text"] for detail in data["details"]]
    assert shown[:2] == texts[:2]
    assert shown[2][1] == 100_000


def test_long_conversations_are_shortened_in_the_middle(tmp_path: Path) -> None:
    many = [{"role": "assistant", "content": f"turn {i}"} for i in range(1000)]
    samples = [Chat("short", "A" + "x" * 10_000_000 + "Z"), Chat("short", many)]
    page = write_report(scores_file(tmp_path, Signal([0.0, 1.0]), samples))
    data = data_of(page)
    head, size, tail = data["texts"][data["details"][0]["completion"]][0]["text"]
    assert (head[0], size, tail[-1]) == ("A", 10_000_002, "Z")
    indices = [message["index"] for message in data["texts"][data["details"][1]["completion"]]]
    assert (indices[0], indices[-1], len(indices)) == (0, 999, 200)
    assert page.stat().st_size < 500_000


def test_scores_without_samples(tmp_path: Path) -> None:
    data = data_of(write_report(scores_file(tmp_path, Signal([0.1, 0.2]))))
    assert data["groups"]["label"] == []
    assert data["details"] == [{}, {}]
    assert data["samples"]["values"] == [[0.1, 0.2]]


def test_empty_and_all_failed_tables(tmp_path: Path) -> None:
    empty = data_of(write_report(scores_file(tmp_path, Signal([]), [])))
    assert empty["stats"][0][0] == {"n": 0, "counts": [0, 0, 0, 0]}
    failed = Signal.failed(3, "boom", Status.TIMED_OUT)
    data = data_of(write_report(scores_file(tmp_path, failed, [Chat("q", "a")] * 3)))
    assert data["stats"][0][0] == {"n": 0, "counts": [0, 0, 0, 3]}
    assert data["groups"]["mean"] == [None]
    assert data["groups"]["flat"] == [False]


def test_distributions_of_every_shape(tmp_path: Path) -> None:
    n = 1000
    columns = {
        "normal": np.random.default_rng(0).normal(size=n),
        "tenths": np.arange(n) % 10 / 10,
        "tails": np.concatenate([np.linspace(0, 1, n - 2), [-1e6, 1e6]]),
        "huge": np.linspace(-1, 1, n) * 1.7e308,
        "tiny": np.arange(n) * 5e-324,
        "close": 1e16 + 2.0 * (np.arange(n) % 10),
    }
    signal = Signal(np.zeros(n), parts={name: Signal(values) for name, values in columns.items()})
    data = data_of(write_report(scores_file(tmp_path, signal)))
    for channel, stats in zip(data["channels"][1:], data["stats"][0][1:], strict=True):
        assert sum(stats["bins"]) + stats["below"] + stats["above"] == n
        assert channel["edges"] == sorted(set(channel["edges"]))
        assert len(channel["edges"]) == len(stats["bins"]) + 1 <= 60
    by_name = {channel["path"][-1]: k for k, channel in enumerate(data["channels"]) if channel["path"]}
    tenths = data["stats"][0][by_name["tenths"]]
    assert [count for count in tenths["bins"] if count] == [100] * 10
    tails = data["stats"][0][by_name["tails"]]
    assert (tails["below"] >= 1, tails["above"] >= 1) == (True, True)


def test_a_large_file_keeps_failed_slow_and_extreme_samples(tmp_path: Path) -> None:
    n, limit = 3000, 400
    rng = np.random.default_rng(0)
    status = np.zeros(n, dtype=np.uint8)
    status[[7, 1234, 2999]] = [FAILED, TIMED_OUT, FAILED]
    outcome, seconds = rng.normal(size=n), rng.exponential(size=n)
    signal = Signal(outcome, status, reasons={7: "boom"}, seconds=seconds)
    samples = [Chat(f"q{i // 4}", f"a{i}", group=i // 4) for i in range(n)]
    run = load_run(scores_file(tmp_path, signal, samples))
    data = report_data(run, max_samples=limit)
    rows = set(data["samples"]["row"])
    assert len(rows) == limit == data["limits"]["samples"]
    assert {7, 1234, 2999} <= rows
    ok = np.flatnonzero(status == OK)
    k = data["limits"]["extremes"]
    assert set(np.argsort(-seconds)[:k].tolist()) <= rows
    assert set(ok[np.argsort(outcome[ok])[:k]].tolist()) <= rows
    assert set(ok[np.argsort(-outcome[ok])[:k]].tolist()) <= rows
    assert data["stats"][0][0]["n"] == n - 3
    assert data["groupCounts"][0]["groups"] == n // 4
    for row, detail in zip(data["samples"]["row"], data["details"], strict=True):
        assert data["texts"][detail["completion"]][0]["text"] == f"a{row}"


def test_all_failed_beyond_the_limit_leaves_room_for_others(tmp_path: Path) -> None:
    status = np.array([FAILED] * 900 + [OK] * 100, dtype=np.uint8)
    data = report_data(load_run(scores_file(tmp_path, Signal(np.ones(1000), status))), max_samples=100)
    kept = np.array(data["samples"]["status"][0])
    assert kept.size == 100
    assert (kept == OK).sum() >= 5


# -- training runs


def training_run(folder: Path) -> Path:
    run = folder / "run"
    (run / "rollouts").mkdir(parents=True)
    (run / "run.json").write_text(
        json.dumps({"versions": {"guerdon": "0.1"}, "config": {"lr": 1e-6}, "reward": RECIPE})
    )
    records: list[Mapping[str, Any]] = [
        {
            "step": 1,
            "loss": 0.5,
            "reward/right/mean": 0.2,
            "reward/right/std": 0.1,
            "note": "text",
            "flag": True,
        },
        {"step": 2, "loss": float("nan"), "reward/right/mean": 0.4, "reward/right/std": 0.1},
        {"step": 3, "loss": 10**400, "reward/right/mean": 0.6, "reward/right/std": 0.1},
    ]
    (run / "metrics.jsonl").write_text(
        "\n".join([json.dumps(r) for r in records] + ["{broken", '{"loss": 1}', "7"])
    )
    for step, shift in ((10, 0.0), (20, 1.0)):
        signal, samples = two_groups()
        signal = signal.replace(outcome=signal.outcome + shift)
        table = to_table(signal, samples)
        table = table.append_column("tokens", pa.array([["a", "<b>"]] * 6))
        table = table.append_column("advantages", pa.array([[0.5, float("nan")]] * 6))
        write_table(table, run / "rollouts" / f"step-{step:06d}.parquet")
    return run


def test_training_run(tmp_path: Path) -> None:
    page = write_report(training_run(tmp_path))
    assert page == tmp_path / "run" / "report.html"
    data = data_of(page)
    assert [(each["label"], each["n"]) for each in data["sets"]] == [
        ("all", 12),
        ("step 10", 6),
        ("step 20", 6),
    ]
    assert [stats[0]["mean"] for stats in data["stats"]] == pytest.approx([1.46, 0.96, 1.96])
    assert len(data["groups"]["label"]) == 4
    curves = {curve["name"]: curve for curve in data["curves"]}
    assert curves.keys() == {"loss", "reward/right/mean"}
    assert curves["loss"]["y"] == [0.5, None, None]
    assert curves["reward/right/mean"]["std"] == [0.1, 0.1, 0.1]
    assert data["missing"] == ["metrics.jsonl: 3 lines are no JSON object with a step and were left out."]
    assert data["details"][0]["tokens"] == ["a", "<b>"]
    assert data["details"][0]["advantages"] == {"values": [0.5, None], "size": 2}


def test_curves_come_from_rollouts_where_metrics_lack_rewards(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    (run / "metrics.jsonl").unlink()
    data = data_of(write_report(run))
    curves = {curve["name"]: curve for curve in data["curves"]}
    assert curves["reward/mean"]["x"] == [10, 20]
    assert curves["reward/mean"]["y"] == pytest.approx([0.96, 1.96])
    assert curves["reward/right/mean"]["y"] == pytest.approx([0.8, 0.8])
    assert any("metrics.jsonl is absent" in words for words in data["missing"])


@pytest.mark.parametrize("piece", ["run.json", "metrics.jsonl", "rollouts"])
def test_missing_pieces_are_named(tmp_path: Path, piece: str) -> None:
    run = training_run(tmp_path)
    path = run / piece
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    data = data_of(write_report(run))
    assert any(words.startswith(piece) for words in data["missing"])


def test_broken_pieces_are_named(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    (run / "run.json").write_text("[]")
    (run / "rollouts" / "step-000010.parquet").write_bytes(b"PAR1 cut off")
    pq.write_table(pa.table({"row": [1]}), run / "scores.parquet")
    data = data_of(write_report(run))
    named = " ".join(data["missing"])
    assert "run.json" in named
    assert "step-000010.parquet" in named
    assert "scores.parquet" in named
    assert [each["label"] for each in data["sets"]] == ["step 20"]


def test_long_curves_are_averaged(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text("\n".join(json.dumps({"step": s, "loss": s % 2}) for s in range(4000)))
    (curve,) = data_of(write_report(run))["curves"]
    assert curve["averaged"] == 4000
    assert len(curve["x"]) == 400
    assert curve["y"] == pytest.approx([0.5] * 400)


def test_errors_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.parquet"):
        write_report(tmp_path / "absent.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not a training run"):
        write_report(tmp_path / "empty")
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    with pytest.raises(ValueError, match="not a scores file"):
        write_report(other)
    (tmp_path / "scores.csv").write_text("row,outcome")
    with pytest.raises(ValueError, match="expected a scores file"):
        write_report(tmp_path / "scores.csv")


def test_where_the_page_goes(tmp_path: Path) -> None:
    path = scores_file(tmp_path, Signal([1.0]))
    assert write_report(path) == tmp_path / "scores.report.html"
    assert write_report(path, tmp_path / "page.html") == tmp_path / "page.html"


# -- in a browser


def test_a_browser_shows_text_as_text(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or google-chrome to open the page with")
    samples = [Chat([{"role": "user", "content": EVIL}], EVIL, reference=EVIL, group=EVIL)] * 2
    dense = Dense.from_rows([[0.5], [1.0]], "step", [[(0, 20)], [(0, 20)]])
    signal = Signal([1, 2], parts={EVIL: Signal([1, 2])}, notes={0: EVIL}, dense=dense)
    page = write_report(scores_file(tmp_path, signal, samples, reward=EVIL))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    url = f"{page.as_uri()}#sample=0"
    done = subprocess.run(
        [browser, *options, profile, "--virtual-time-budget=3000", "--dump-dom", url],
        capture_output=True,
        check=True,
        timeout=120,
    )
    shown = done.stdout.decode("utf-8", "replace")
    body = shown[shown.index("<body>") :]
    assert "Sample 0" in body
    assert "&lt;img src=x" in body
    assert "<img" not in body
    assert body.count("<script") == 2
