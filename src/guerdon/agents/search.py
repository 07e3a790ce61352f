"""Full-text search over documents, ranked by BM25."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from guerdon.agents.clip import clip
from guerdon.agents.tool import Tool, tool
from guerdon.core.checks import check_number
from guerdon.core.extras import need

_WORD = r"(?u)\b\w+\b"


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the id it is found under."""

    id: str
    text: str


class Hit(NamedTuple):
    """A document that was found, and its score, above 0."""

    document: Document
    score: float


class DocumentIndex:
    """Documents that are searched by their words.

        score(q, d) = Σ_{t in q} idf(t) · f(t, d) / (f(t, d) + k1 · (1 − b + b · |d| / mean |d|))
        idf(t) = ln(1 + (N − n(t) + 1/2) / (n(t) + 1/2))

    f(t, d): how often d has the word t · |d|: words of d · n(t): documents that have t · N: documents. A word that q
    has twice counts twice. Words are runs of letters, digits and underscores, in lower case and Unicode form NFKC,
    without the English function words; a script without spaces has sentences for words.

    A text among `documents` becomes a document with its position as id. `k1` ≥ 0, `b` in [0, 1].

    Raises `ValueError` for no documents, none with a word, two with the same id, and numbers outside their range.
    Needs `guerdon[agents]`.

    Stephen Robertson, Hugo Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the idf of
    Lucene; computed by Xing Han Lù, "BM25S: Orders of magnitude faster lexical search via eager sparse scoring",
    arXiv:2407.03618, repository xhluca/bm25s.
    """

    def __init__(self, documents: Iterable[Document | str], *, k1: float = 1.5, b: float = 0.75) -> None:
        check_number(k1, "k1", low=0.0)
        check_number(b, "b", low=0.0, high=1.0)
        self.documents = [
            one if isinstance(one, Document) else Document(str(i), one) for i, one in enumerate(documents)
        ]
        if not self.documents:
            raise ValueError("documents: expected at least one, got none")
        _check_ids(self.documents)
        words = _words([one.text for one in self.documents])
        if not any(words):
            raise ValueError("documents: expected at least one with a word to search for, got none")
        self._bm25 = need("bm25s", "agents").BM25(method="lucene", k1=k1, b=b)
        self._bm25.index(words, show_progress=False)

    @classmethod
    def from_folder(
        cls,
        folder: str | PathLike[str],
        *,
        suffixes: Sequence[str] = (".md", ".txt"),
        k1: float = 1.5,
        b: float = 0.75,
    ) -> DocumentIndex:
        """The UTF-8 files under a folder with one of these suffixes; an id is the path from the folder.

        Raises `ValueError` where there are none, or one isn't UTF-8.
        """
        root = Path(folder)
        paths = sorted(path for path in root.rglob("*") if path.suffix in suffixes and path.is_file())
        return cls((Document(path.relative_to(root).as_posix(), _read(path)) for path in paths), k1=k1, b=b)

    def search(self, query: str, k: int = 3) -> list[Hit]:
        """The at most `k` documents that share a word with the query, best first; of equals the earlier one.

        Raises `ValueError` where `k` is below 1.
        """
        if k < 1:
            raise ValueError(f"k: expected at least 1, got {k}")
        known = [word for word in _words([query])[0] if word in self._bm25.vocab_dict]
        if not known:
            return []
        scores = self._bm25.get_scores(known)
        best = np.argsort(-scores, kind="stable")[:k].tolist()
        return [Hit(self.documents[i], float(scores[i])) for i in best if scores[i] > 0]

    def save(self, folder: str | PathLike[str]) -> None:
        """Write index and documents to a folder, which is made where it is absent."""
        corpus = [asdict(one) for one in self.documents]
        self._bm25.save(folder, corpus=corpus, show_progress=False, raise_on_serialization_error=True)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> DocumentIndex:
        """What `save` wrote. Raises `FileNotFoundError` where it isn't there."""
        index = cls.__new__(cls)
        index._bm25 = need("bm25s", "agents").BM25.load(folder, load_corpus=True, show_progress=False)
        index.documents = [Document(**one) for one in index._bm25.corpus]
        return index


def search_tool(
    documents: DocumentIndex | Iterable[Document | str],
    *,
    k: int = 3,
    max_characters: int = 2000,
    name: str = "search",
    price: float = 0.0,
) -> Tool:
    """A tool that finds the `k` best documents for a query: ids and texts, each of at most `max_characters`."""
    index = documents if isinstance(documents, DocumentIndex) else DocumentIndex(documents)

    def search(query: str) -> str:
        """Find the documents that fit a query best.

        Args:
            query: Words to look for
        """
        hits = index.search(query, k)
        if not hits:
            return "no document has any of these words"
        return "\n\n".join(
            f"[{rank}] {hit.document.id}\n{clip(hit.document.text, max_characters)}"
            for rank, hit in enumerate(hits, start=1)
        )

    return tool(search, name=name, price=price)


def _words(texts: Sequence[str]) -> list[list[str]]:
    normalized = [unicodedata.normalize("NFKC", text) for text in texts]
    tokenize: Any = need("bm25s", "agents").tokenize
    return tokenize(
        normalized, token_pattern=_WORD, stopwords="english", return_ids=False, show_progress=False
    )


def _check_ids(documents: Sequence[Document]) -> None:
    seen = set[str]()
    for one in documents:
        if one.id in seen:
            raise ValueError(f"documents: expected one document an id, got two with {one.id!r}")
        seen.add(one.id)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text; {error}") from None
