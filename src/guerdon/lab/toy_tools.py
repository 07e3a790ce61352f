"""Eight tools with typed parameters and made-up but fixed answers, in four pairs that take the same arguments."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

City: TypeAlias = Literal["Oslo", "Lima", "Cairo", "Delhi", "Paris", "Quito", "Seoul", "Turin"]
Day: TypeAlias = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
Currency: TypeAlias = Literal["EUR", "USD", "GBP", "CHF", "SEK", "JPY"]
Word: TypeAlias = Literal["brisk", "frugal", "gaunt", "lucid", "meek", "novel", "terse", "vast"]

# Units of each currency for a euro.
RATES: Mapping[Currency, float] = {
    "EUR": 1.0,
    "USD": 1.1,
    "GBP": 0.85,
    "CHF": 0.95,
    "SEK": 11.0,
    "JPY": 160.0,
}
MEANINGS: Mapping[Word, tuple[str, str]] = {
    "brisk": ("quick and active", "lively"),
    "frugal": ("careful with money", "thrifty"),
    "gaunt": ("very thin", "bony"),
    "lucid": ("easy to understand", "clear"),
    "meek": ("quiet and mild", "humble"),
    "novel": ("not known before", "new"),
    "terse": ("using few words", "curt"),
    "vast": ("very large", "huge"),
}


def weather(city: City, day: Day) -> str:
    """Weather in a city on a day of this week.

    Args:
        city: Name of the city
        day: Day of the week

    Returns:
        Sky and temperature in degrees Celsius
    """
    return f"{_pick(('sun', 'rain', 'fog', 'snow'), city, day)}, {_pick(range(30), day, city)} C"


def air_quality(city: City, day: Day) -> str:
    """Quality of the air in a city on a day of this week.

    Args:
        city: Name of the city
        day: Day of the week

    Returns:
        The air quality index
    """
    return f"index {_pick(range(10, 200), city, day)}"


def convert_currency(amount: int, source: Currency, target: Currency) -> str:
    """Convert an amount of money to another currency.

    Args:
        amount: Amount in the source currency
        source: Code of the currency to convert from
        target: Code of the currency to convert to

    Returns:
        Amount in the target currency
    """
    return f"{_rate(amount, source, target):.2f} {target}"


def exchange_fee(amount: int, source: Currency, target: Currency) -> str:
    """Fee for changing an amount of money into another currency.

    Args:
        amount: Amount in the source currency
        source: Code of the currency to change
        target: Code of the currency to get

    Returns:
        Fee in the target currency, one percent
    """
    return f"{_rate(amount, source, target) / 100:.2f} {target}"


def add_event(title: str, day: Day, hour: int) -> str:
    """Add an event to the calendar.

    Args:
        title: What the event is
        day: Day of the week
        hour: Full hour at which it starts

    Returns:
        Confirmation
    """
    return f"added {_slot(title, day, hour)}"


def set_reminder(title: str, day: Day, hour: int) -> str:
    """Set a reminder.

    Args:
        title: What to be reminded of
        day: Day of the week
        hour: Full hour at which to remind

    Returns:
        Confirmation
    """
    return f"will remind of {_slot(title, day, hour)}"


def define(word: Word) -> str:
    """Look up what a word means.

    Args:
        word: The word

    Returns:
        Its meaning
    """
    return MEANINGS[word][0]


def synonym(word: Word) -> str:
    """Find another word that means the same.

    Args:
        word: The word

    Returns:
        The other word
    """
    return MEANINGS[word][1]


TOOLS: tuple[Callable[..., str], ...] = (
    weather,
    air_quality,
    convert_currency,
    exchange_fee,
    add_event,
    set_reminder,
    define,
    synonym,
)
# How one asks for each; the blanks are its parameters.
REQUESTS: Mapping[str, tuple[str, str]] = {
    "weather": ("What is the weather in {city} on {day}?", "Will {city} be warm on {day}?"),
    "air_quality": ("How clean is the air in {city} on {day}?", "Can I breathe well in {city} on {day}?"),
    "convert_currency": (
        "How much is {amount} {source} in {target}?",
        "Turn {amount} {source} into {target}.",
    ),
    "exchange_fee": (
        "What does it cost to change {amount} {source} to {target}?",
        "Tell me the fee from {amount} {source} to {target}.",
    ),
    "add_event": ("Plan {title} for {day} at {hour}.", "Put {title} on my calendar, {day} at {hour}."),
    "set_reminder": ("Remind me of {title} on {day} at {hour}.", "On {day} at {hour} ping me about {title}."),
    "define": ("What does {word} mean?", "Explain the word {word}."),
    "synonym": ("What is another word for {word}?", "Say {word} differently."),
}


def _pick(options: Sequence[Any], *asked: str) -> Any:
    """An option that depends on what was asked alone, equal in every process."""
    return options[zlib.crc32("/".join(asked).encode()) % len(options)]


def _rate(amount: int, source: Currency, target: Currency) -> float:
    return amount / RATES[source] * RATES[target]


def _slot(title: str, day: Day, hour: int) -> str:
    if not 0 <= hour < 24:
        raise ValueError(f"hour: expected 0 to 23, got {hour}")
    return f"{title}, {day} {hour}:00"
