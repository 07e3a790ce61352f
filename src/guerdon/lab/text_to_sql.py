"""Questions about small generated SQLite databases, answered by a query."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.lab.world import Task, World
from guerdon.verify.sql import SqlExecution

SYSTEM = "Answer with one SQL query on this database."
SECONDS = 2.0
"""How long a query may run when it is checked."""
MAX_ROWS = 200


class Schema(NamedTuple):
    """Two tables: things of a `parent` table, in categories, own things of a `child` table that have a number.

    `names`, `kinds`, `items`: what the cells of the text columns are drawn from.
    """

    parent: str
    name: str
    kind: str
    child: str
    item: str
    number: str
    names: Sequence[str]
    kinds: Sequence[str]
    items: Sequence[str]

    @property
    def script(self) -> str:
        """The `CREATE TABLE` statements."""
        return (
            f"CREATE TABLE {self.parent} (id INTEGER PRIMARY KEY, {self.name} TEXT, {self.kind} TEXT);\n"
            f"CREATE TABLE {self.child} (id INTEGER PRIMARY KEY, owner_id INTEGER, {self.item} TEXT, "
            f"{self.number} INTEGER, FOREIGN KEY (owner_id) REFERENCES {self.parent} (id));"
        )


PEOPLE = ("Ann", "Ben", "Eva", "Tom", "Mia", "Sam", "Ida", "Leo", "Zoe", "Max", "Una", "Kai")
SCHEMAS: Mapping[str, Schema] = {
    "shop": Schema(
        *("customers", "name", "city", "orders", "product", "price"),
        PEOPLE,
        ("Oslo", "Lima", "Cairo", "Delhi"),
        ("lamp", "chair", "table", "shelf", "clock", "vase", "rug", "sofa"),
    ),
    "school": Schema(
        *("teachers", "name", "subject", "courses", "title", "hours"),
        PEOPLE,
        ("maths", "music", "history", "biology"),
        ("basics", "practice", "theory", "seminar", "project", "workshop", "review", "reading"),
    ),
    "library": Schema(
        *("authors", "name", "country", "books", "title", "pages"),
        PEOPLE,
        ("Norway", "Peru", "Egypt", "India"),
        ("Rain", "Stone", "The Bridge", "Ashes", "North", "Salt", "The Guest", "Winter"),
    ),
}
# Question and query of each level. Blanks are the fields of the schema and values from the cells.
TEMPLATES: Mapping[int, Sequence[tuple[str, str]]] = {
    1: (
        (
            "What is the {item} of the {child} with {number} above {amount}?",
            "SELECT {item} FROM {child} WHERE {number} > {amount}",
        ),
        (
            "What is the {item} of the {child} with {number} below {amount}?",
            "SELECT {item} FROM {child} WHERE {number} < {amount}",
        ),
        (
            "What is the {name} of the {parent} with {kind} {value}?",
            "SELECT {name} FROM {parent} WHERE {kind} = '{value}'",
        ),
        ("What is the {kind} of {person}?", "SELECT {kind} FROM {parent} WHERE {name} = '{person}'"),
    ),
    2: (
        (
            "How many {parent} are there of each {kind}?",
            "SELECT {kind}, COUNT(*) FROM {parent} GROUP BY {kind}",
        ),
        ("What is the largest {number} of the {child}?", "SELECT MAX({number}) FROM {child}"),
        ("What is the smallest {number} of the {child}?", "SELECT MIN({number}) FROM {child}"),
        (
            "What is the total {number} of the {child} of each {item}?",
            "SELECT {item}, SUM({number}) FROM {child} GROUP BY {item}",
        ),
        (
            "How many {child} have {number} above {amount}?",
            "SELECT COUNT(*) FROM {child} WHERE {number} > {amount}",
        ),
    ),
    3: (
        (
            "What is the {item} of the {child} of {person}?",
            "SELECT c.{item} FROM {child} AS c JOIN {parent} AS p ON c.owner_id = p.id"
            " WHERE p.{name} = '{person}'",
        ),
        (
            "What is the {name} of the {parent} whose {child} have {number} above {amount}?",
            "SELECT DISTINCT p.{name} FROM {parent} AS p JOIN {child} AS c ON c.owner_id = p.id"
            " WHERE c.{number} > {amount}",
        ),
        (
            "What is the total {number} of the {child} for each {kind} of the {parent}?",
            "SELECT p.{kind}, SUM(c.{number}) FROM {parent} AS p JOIN {child} AS c ON c.owner_id = p.id"
            " GROUP BY p.{kind}",
        ),
    ),
}


class TextToSqlCheck(NamedTuple):
    """`solved`: whether the query returns what it should · `reason`: what stood against it, where that is known."""

    solved: bool
    reason: str | None


@register("text_to_sql", kind="world", example="{world: text_to_sql, level: 2, rows: 12}")
class TextToSql(World):
    """Questions about a database of two tables, whose schema the prompt shows and whose rows it doesn't.

    `level`: 1 selects from one table with a condition, 2 counts, sums or groups, 3 joins both tables. · `rows`
    (4 to 200): of each table; the more there are, the less a wrong query returns the right rows by chance. Each
    task is of one of three `SCHEMAS`, with rows of its own.

    The reference is a right query; `extra["schema"]` is the script that makes the database in memory, so that
    the rewards of `verify.sql` read a sample as it is. Equal arguments and seeds give equal tasks. Raises
    `ValueError` for another level or number of rows.

    A right completion keeps the form that `sql_format` pays: reasoning and answer in tags, the query in a fence.
    """

    def __init__(self, level: int = 1, rows: int = 12) -> None:
        if level not in TEMPLATES:
            raise ValueError(
                f"TextToSql.level: expected one of {', '.join(map(str, TEMPLATES))}, got {level!r}"
            )
        if not 4 <= rows <= MAX_ROWS:
            raise ValueError(f"TextToSql.rows: expected 4 to {MAX_ROWS}, got {rows!r}")
        self.level, self.row_count = level, rows
        self._execution = SqlExecution(order="multiset", seconds=SECONDS)

    def draw(self, rng: random.Random) -> Task:
        schema = SCHEMAS[rng.choice(list(SCHEMAS))]
        parents, children = _parents(schema, self.row_count, rng), _children(schema, self.row_count, rng)
        numbers = sorted(number for *_, number in children)
        blanks = {
            **schema._asdict(),
            "value": rng.choice(parents)[2],
            "person": parents[rng.choice(children)[1] - 1][1],
            "amount": rng.choice(numbers[1:-1]),
        }
        question, query = (text.format(**blanks) for text in rng.choice(TEMPLATES[self.level]))
        inserts = [_insert(schema.parent, row) for row in parents] + [
            _insert(schema.child, row) for row in children
        ]
        return Task(
            prompt=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"{schema.script}\n{question}"},
            ],
            solution=[_answer(query)],
            reference=query,
            extra={"schema": "\n".join([schema.script, *inserts]), "query": query},
        )

    def check(self, sample: Chat) -> TextToSqlCheck:
        """Whether the query of the last turn returns the rows of `extra["query"]`, in any order.

        The database is that of `extra["schema"]`; queries can only read, for two seconds at most. Raises
        `KeyError` where a column is missing.
        """
        asked = {"schema": sample.extra["schema"]}
        signal = self._execution([replace(sample, reference=sample.extra["query"], extra=asked)])
        return TextToSqlCheck(bool(signal.outcome[0] == 1.0), signal.reasons.get(0) or signal.notes.get(0))

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """The solution, or with probability `habit` a query for all of its first table."""
        query: Any = task.reference
        if rng.random() < habit:
            table = re.search(r"FROM (\w+)", query)
            query = f"SELECT * {table[0]}" if table else query
        return [*task.prompt, _answer(query)]


def _parents(schema: Schema, count: int, rng: random.Random) -> list[tuple[int, str, str]]:
    """Rows with names that differ, so that a question about one is about one row."""
    labels = [f"{schema.names[i % len(schema.names)]}{_suffix(i // len(schema.names))}" for i in range(count)]
    rng.shuffle(labels)
    return [(i, label, rng.choice(schema.kinds)) for i, label in enumerate(labels, start=1)]


def _children(schema: Schema, count: int, rng: random.Random) -> list[tuple[int, int, str, int]]:
    """Rows with numbers that differ, so that a number above or below one of them exists."""
    numbers = rng.sample(range(10, 1000), count)
    return [
        (i, rng.randint(1, count), rng.choice(schema.items), number)
        for i, number in enumerate(numbers, start=1)
    ]


def _suffix(family: int) -> str:
    return f" {family + 1}" if family else ""


def _insert(table: str, row: Sequence[int | str]) -> str:
    cells = ", ".join(str(cell) if isinstance(cell, int) else f"'{cell}'" for cell in row)
    return f"INSERT INTO {table} VALUES ({cells});"


def _answer(query: str) -> Message:
    text = f"<reasoning>\nI query the database.\n</reasoning>\n<answer>\n```sql\n{query}\n```\n</answer>\n"
    return {"role": "assistant", "content": text}
