from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import Document, DocumentIndex, Hit, answer_calls, as_tools, search_tool

TEXTS = [
    "Cats sleep all day",
    "dogs chase cats and cats chase mice",
    "Äpfel und Öl",
    "",
    "Cats sleep all day",
    "日本語 テスト",
]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.document.id for hit in hits]


def bm25(query: list[str], words: list[list[str]], k1: float, b: float) -> list[float]:
    mean = sum(map(len, words)) / len(words)
    scores = []
    for document in words:
        score = 0.0
        for word in query:
            having = sum(word in other for other in words)
            idf = math.log(1 + (len(words) - having + 0.5) / (having + 0.5))
            f = document.count(word)
            score += idf * f / (f + k1 * (1 - b + b * len(document) / mean)) if f else 0.0
        scores.append(score)
    return scores


@given(
    st.lists(st.lists(st.sampled_from("wxyz"), max_size=6), min_size=1, max_size=6).filter(any),
    st.lists(st.sampled_from("wxyz"), max_size=4),
    st.sampled_from([(1.5, 0.75), (0.9, 0.4), (2.0, 0.0)]),
)
@settings(max_examples=80, deadline=None)
def test_scores_are_those_of_the_equation(
    words: list[list[str]], query: list[str], constants: tuple[float, float]
) -> None:
    k1, b = constants
    index = DocumentIndex([" ".join(document) for document in words], k1=k1, b=b)
    expected = bm25(query, words, k1, b)
    found = index.search(" ".join(query), k=len(words))
    assert {int(hit.document.id) for hit in found} == {i for i, score in enumerate(expected) if score > 0}
    for document, score in found:
        assert score == pytest.approx(expected[int(document.id)], rel=1e-4)
    keys = [(-score, int(document.id)) for document, score in found]
    assert keys == sorted(keys)


def test_equals_come_in_their_order_and_k_may_pass_the_number_of_documents() -> None:
    index = DocumentIndex(TEXTS)
    assert ids(index.search("cats sleep", k=100)) == ["0", "4", "1"]
    assert ids(index.search("cats sleep", k=1)) == ["0"]
    many = DocumentIndex(["bees hum", "ants"] * 200)
    assert ids(many.search("bees", k=150)) == [str(i) for i in range(0, 300, 2)]


@pytest.mark.parametrize("query", ["", "   ", "the", "nowhere", "\ud800", "\x00", "?!"])
def test_a_query_without_a_known_word_finds_nothing(query: str) -> None:
    assert DocumentIndex(TEXTS).search(query) == []


@pytest.mark.parametrize(
    ("query", "found"), [("öl", "2"), ("O\u0308L", "2"), ("日本語", "5"), ("テスト", "5"), ("ＤＯＧＳ", "1")]
)
def test_unicode(query: str, found: str) -> None:
    assert ids(DocumentIndex(TEXTS).search(query)) == [found]


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.md").write_text("about bees", encoding="utf-8")
    (tmp_path / "a.txt").write_text("about ants", encoding="utf-8")
    (tmp_path / "c.py").write_text("about bees", encoding="utf-8")
    index = DocumentIndex.from_folder(tmp_path)
    assert [one.id for one in index.documents] == ["a.txt", "deep/b.md"]
    assert index.search("bees")[0].document == Document("deep/b.md", "about bees")
    (tmp_path / "d.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"d\.txt: expected UTF-8"):
        DocumentIndex.from_folder(tmp_path)
    with pytest.raises(ValueError, match="at least one"):
        DocumentIndex.from_folder(tmp_path / "nowhere")


def test_a_saved_index_finds_the_same(tmp_path: Path) -> None:
    index = DocumentIndex(TEXTS, k1=0.9)
    index.save(tmp_path / "index")
    loaded = DocumentIndex.load(tmp_path / "index")
    assert loaded.documents == index.documents
    for query in ("cats chase", "öl", "", "テスト"):
        assert loaded.search(query) == index.search(query)
    with pytest.raises(FileNotFoundError):
        DocumentIndex.load(tmp_path / "nowhere")


def test_bad_indices_are_refused() -> None:
    for documents, words in [
        ([], "at least one, got none"),
        (["", "the"], "at least one with a word"),
        ([Document("a", "x"), Document("a", "y")], "two with 'a'"),
    ]:
        with pytest.raises(ValueError, match=words):
            DocumentIndex(documents)
    with pytest.raises(ValueError, match="b: expected"):
        DocumentIndex(TEXTS, b=2)
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        DocumentIndex(TEXTS).search("cats", k=0)


def test_the_tool_tells_ids_and_texts() -> None:
    tools = as_tools(
        [search_tool([Document("pets", "cats " + "and dogs " * 100), *TEXTS], k=2, max_characters=20)]
    )

    def ask(query: object) -> str:
        calls = [{"function": {"name": "search", "arguments": {"query": query}}}]
        return answer_calls({"role": "assistant", "tool_calls": calls}, tools)[0]["content"]

    assert ask("dogs mice") == (
        "[1] 2\ndogs chase cats and \n[15 more characters left out]\n\n"
        "[2] pets\ncats and dogs and do\n[885 more characters left out]"
    )
    assert ask("zebra") == "no document has any of these words"
    assert ask(3) == "error: search.query: Input should be a valid string, got 3"
