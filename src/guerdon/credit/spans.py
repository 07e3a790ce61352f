"""From spans of characters to spans of tokens."""

from __future__ import annotations

from guerdon.shape.arrays import Array, check_offsets, check_spans, companion, device, namespace
from guerdon.shape.rows import row_index


def token_spans(spans: Array, offsets: Array, tokens: Array, token_offsets: Array | None = None) -> Array:
    """Token spans of character spans: a token belongs to the span that holds its first character.

    Span j of row i becomes `[first, last + 1)` over the tokens whose first character lies in `[start_j,
    end_j)`. Disjoint character spans give disjoint token spans, and where character spans cover the text,
    every token of the text is in exactly one. Token offsets count characters, so a character of several bytes
    that became several tokens has them all in its span. Tokens of width 0 (special tokens, padding) open and
    close no span. A span without the first character of a token becomes an empty one, behind the last token
    that begins before it.

    Args:
        spans: (m, 2) integers, half-open, in characters of the row's text.
        offsets: (n+1,) row offsets of `spans`.
        tokens: character offsets of the tokens as a fast Hugging Face tokenizer returns them with
            `return_offsets_mapping=True`: (n, T, 2) padded, or (k, 2) with `token_offsets`.
        token_offsets: (n+1,) row offsets of ragged `tokens`.

    Returns:
        (m, 2) int64, half-open, in tokens of the row, in the namespace of `spans`.

    Raises:
        ValueError: on shapes that don't fit, negative or reversed spans, or token offsets that fall within a
            row.
    """
    xp = namespace(spans)
    spans = check_spans(spans, "spans")
    offsets = check_offsets(offsets, spans, "offsets", spans.shape[0])
    n = offsets.shape[0] - 1
    chars, bounds = _token_rows(tokens, token_offsets, spans, n)
    place = xp.arange(chars.shape[0], device=device(spans))
    row = row_index(bounds[1:] - bounds[:-1])
    wide = chars[:, 1] > chars[:, 0]
    first, row, place = chars[wide, 0], row[wide], (place - bounds[:-1][row])[wide]
    if bool(xp.any((first[1:] < first[:-1]) & (row[1:] == row[:-1]))):
        raise ValueError("tokens: expected offsets that don't fall within a row")

    # One sorted key for all rows: row first, then character.
    ends = (array for array in (first, spans[:, 1]) if array.shape[0])
    stride = 1 + max((int(xp.max(array)) for array in ends), default=0)
    key = row * stride + first
    span_row = row_index(offsets[1:] - offsets[:-1])
    low = xp.searchsorted(key, span_row * stride + spans[:, 0])
    high = xp.searchsorted(key, span_row * stride + spans[:, 1])
    filled = high > low
    result = xp.zeros_like(spans)
    result[filled, 0] = place[low[filled]]
    result[filled, 1] = place[high[filled] - 1] + 1
    follows = low > 0
    follows[low > 0] = row[low[low > 0] - 1] == span_row[low > 0]
    empty = follows & ~filled
    result[empty, :] = (place[low[empty] - 1] + 1)[:, None]
    return result


def _token_rows(tokens: Array, token_offsets: Array | None, like: Array, n: int) -> tuple[Array, Array]:
    """Character offsets of all tokens (k, 2) and their row offsets."""
    xp = namespace(like)
    if token_offsets is None:
        shape = tuple(tokens.shape)
        if len(shape) != 3 or shape[0] != n or shape[2] != 2:
            raise ValueError(f"tokens: expected shape ({n}, T, 2), or (k, 2) with token_offsets; got {shape}")
        flat = companion(tokens, like, "tokens", shape).reshape(-1, 2)
        return flat, xp.arange(n + 1, device=device(like)) * shape[1]
    flat = companion(tokens, like, "tokens", (tokens.shape[0], 2))
    return flat, check_offsets(token_offsets, like, "token_offsets", flat.shape[0], rows=n)
