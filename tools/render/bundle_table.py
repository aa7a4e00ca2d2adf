"""The tables of bundles in README.md, rendered from the cards between two comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.errors import InputError

BEGIN, END = "<!-- bundles, rendered from their cards -->", "<!-- end of bundles -->"
PRETRAINING_COLUMNS = ("Pretraining bundle", "Method", "Data", "Pretrains")
COLUMNS = ("Bundle", "Data set", "Modality", "Labels", "Network", "Pretraining", "Access", "Licence")
MOST_NAMED = 3


def with_tables(readme: str, cards: Sequence[dict[str, Any]]) -> str:
    """Put the tables into README.md.

    Args:
        readme: its text, with the two comments.
        cards: of all bundles.

    Returns:
        The text with new tables between the comments.

    Raises:
        InputError: if the comments are not there, once each and in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise InputError(f"README.md needs the lines {BEGIN} and {END}, once each: between them goes the table")
    return f"{before}{BEGIN}\n\n{tables(cards)}\n\n{END}{after}"


def tables(cards: Sequence[dict[str, Any]]) -> str:
    """Return two tables in Markdown: bundles that pretrain, and those for labelled data."""
    pretraining = [card for card in cards if "pretrains" in card]
    others = [card for card in cards if "pretrains" not in card]
    first = [(_link(card), card["title"], card["dataset"]["name"], f"`{card['pretrains']}`") for card in pretraining]
    second = [_row(card, pretraining) for card in others]
    return "\n\n".join(_markdown(*table) for table in ((PRETRAINING_COLUMNS, first), (COLUMNS, second)))


def _row(card: dict[str, Any], pretraining: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    dataset, network = card["dataset"], card.get("network", "")
    fitting = [other["name"] for other in pretraining if other["pretrains"] in (network, card["name"])]
    return (
        _link(card),
        dataset["name"],
        _modality(card),
        _labels(card),
        f"`{network}`" if network else "ViT",
        ", ".join(f"`{name}`" for name in fitting),
        dataset.get("access", ""),  # of a bundle for one's own data there is none to tell
        dataset["licence"],
    )


def _modality(card: dict[str, Any]) -> str:
    stated = card.get("metadata", {}).get("network_data_format#inputs#image#modality")
    modality = stated or ("X-ray" if card["template"] == "classification" else "MRI")  # as the templates have it
    names = sorted(card["dataset"]["channel_names"].items(), key=lambda item: int(item[0]))
    channels = ", ".join(dict.fromkeys(name for _, name in names))
    return channels if modality in channels else f"{modality}: {channels}"


def _labels(card: dict[str, Any]) -> str:
    dataset = card["dataset"]
    labels = card.get("model", {}).get("labels", dataset["labels"])
    names = list(dataset.get("regions", [name for name in labels if name != "background"]))
    return ", ".join(names) if len(names) <= MOST_NAMED else str(len(names))


def _link(card: dict[str, Any]) -> str:
    return f"[{card['name']}](bundles/{card['name']}/docs/README.md)"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
