"""Reading samples: a whole source at once, or in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guerdon.core.io.formats import Columns, Format, check_options, choose, mapped, parse
from guerdon.core.io.rejects import Reject
from guerdon.core.io.rows import PART_BYTES, Row, Source, open_rows
from guerdon.core.samples import Chat, Episode, Media, Sample


class Samples(list[Sample]):
    """Samples with where they came from.

    `source`: path or kind of the source · `format`: how its rows were read, None where no row could be read ·
    `rows`: the row of each sample, counted from 0 as `Reject.line` is from 1 (a row with several answers gives
    several samples) · `rejects`: the rows that gave none.
    """

    def __init__(self, source: str, format: Format | None = None) -> None:
        super().__init__()
        self.source = source
        self.format = format
        self.rows: list[int] = []
        self.rejects: list[Reject] = []


def read(
    source: Source,
    *,
    format: Format | None = None,
    columns: Columns | None = None,
    require_completion: bool = True,
) -> Samples:
    """All samples of a source.

    `source`: a file (`.jsonl`, `.ndjson`, `.json`, each also `.gz`, or `.parquet`), a Hugging Face `Dataset`, or
    mappings or samples in memory. A row becomes

    - `native`: `prompt`, `completion`, `reference`, `group`; any other column is in `extra`.
    - `trl`: the same, text or messages, with `solution` or `answer` as the reference.
    - `verl`: `reward_model.ground_truth` is the reference; the completion is in `completion`, `responses` or
      `response`, or is named with `columns`.
    - `openai`: a chat log. With `choices`, `messages` is the prompt and each choice one completion. Without,
      `messages` is cut after the last user message, or before the first assistant one where no user speaks.
    - `episode`: `observations`, `actions`, `rewards`, …: the arrays of an `Episode`.

    A list of texts or of message lists as the completion is several answers to one prompt: one sample each. A row
    without a reference gives a sample whose reference is None.

    `format`: one of these; without it, it is told from the columns of the first row that fits one. `columns`: native
    names to the source's own, as `{"completion": "output", "reference": "extra_info.answer"}`: a dot looks inside a
    column, several names are joined by a newline, and a mapped column takes the place of one that has the native
    name. `require_completion=False`: a row without a completion, as data for training has it, gets an empty one.

    A row that can't be read never becomes a sample: it is in `rejects` with the reason. That includes, in JSON, a
    row with NaN or infinity, a key twice, bytes that are not UTF-8, a lone surrogate or a nesting beyond 100
    levels; and, from anywhere, a reference that is NaN or infinite.

    Raises `FormatError` where no format fits, `ValueError` on a source without rows and on a file that can't be read
    on (broken gzip or Parquet), `FileNotFoundError`, and `TypeError` where `source` is none of the above.
    """
    parts = iter_read(source, format=format, columns=columns, require_completion=require_completion)
    samples = next(parts)
    for part in parts:
        samples.extend(part)
        samples.rows.extend(part.rows)
        samples.rejects.extend(part.rejects)
        samples.format = part.format
    return samples


def iter_read(
    source: Source,
    *,
    chunk: int = 8192,
    format: Format | None = None,
    columns: Columns | None = None,
    require_completion: bool = True,
) -> Iterator[Samples]:
    """`read` by parts of at most `chunk` rows and about 64 MiB, so that memory doesn't grow with the source.

    The format is told from the first part that has a readable row. A `.json` file is the exception: it is held as a
    whole. Raises as `read` does, and `ValueError` where `chunk` isn't positive.
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    check_options(format, columns)
    name, rows = open_rows(source)
    return _parts(name, rows, chunk, format, columns, require_completion)


def _parts(
    name: str,
    rows: Iterator[Row],
    chunk: int,
    stated: Format | None,
    columns: Columns | None,
    require_completion: bool,
) -> Iterator[Samples]:
    layout, empty = None, True
    for batch in _batches(rows, chunk):
        empty = False
        if layout is None:
            readable = [row.value for row in batch if row.reason is None]
            if readable:
                mappings = [value for value in readable if not isinstance(value, (Chat, Episode, Media))]
                layout = choose(name, mappings, stated, columns) if mappings else "native"
        yield _samples(name, batch, layout, columns, require_completion)
    if empty:
        raise ValueError(f"{name}: no rows")


def _batches(rows: Iterator[Row], chunk: int) -> Iterator[list[Row]]:
    batch, size = list[Row](), 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) == chunk or size >= PART_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _samples(
    name: str, batch: Sequence[Row], layout: Format | None, columns: Columns | None, require_completion: bool
) -> Samples:
    samples = Samples(name, layout)
    for row in batch:
        reason = row.reason
        if reason is None and layout is not None:
            try:
                found = _of_row(row, layout, columns, require_completion)
            except (TypeError, ValueError) as error:
                reason = str(error)
            else:
                samples.extend(found)
                samples.rows.extend([row.number] * len(found))
        if reason is not None:
            samples.rejects.append(Reject(name, row.line, reason, row.text))
    return samples


def _of_row(row: Row, layout: Format, columns: Columns | None, require_completion: bool) -> list[Sample]:
    if isinstance(row.value, (Chat, Episode, Media)):
        return [row.value]
    return parse(mapped(row.value, columns), layout, require_completion)
