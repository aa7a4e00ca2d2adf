"""The findings of a chest X-ray, known by name and kept in one fixed order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InputError

NO_FINDING = "No Finding"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)


def findings_vector(text: str, labels: Sequence[str], where: str) -> list[int]:
    """Turn findings joined by "|" into zeros and ones.

    Args:
        text: such as "Effusion|Pleural_Thickening", or "No Finding" for all zero.
        labels: the findings in order.
        where: file and row, for the message.

    Returns:
        One number per finding of `labels`.

    Raises:
        InputError: a name is not one of `labels`, or "No Finding" stands beside a finding.
    """
    known = {_key(label) for label in (*labels, NO_FINDING)}
    names = {_key(name): name.strip() for name in text.split("|")}
    unknown = [name for key, name in names.items() if key not in known]
    if unknown:
        raise InputError(
            f"{where} has the finding {', '.join(map(repr, unknown))}; known are {', '.join(labels)} and {NO_FINDING}: "
            "correct the name"
        )
    if _key(NO_FINDING) in names and len(names) > 1:
        raise InputError(f"{where} says {text!r}: a finding and {NO_FINDING!r} exclude each other, remove one")
    return [int(_key(label) in names) for label in labels]


def column_of(label: str, columns: Sequence[str]) -> str | None:
    """Return the column of a table that is called like a finding, without regard to case, space or "_"."""
    return next((column for column in columns if _key(column) == _key(label)), None)


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
