"""What a card's `dataset` says, as ids of the configs and of the metadata."""

from __future__ import annotations

from typing import Any

from scripts.errors import InputError

LABELLED = ("segmentation", "classification", "evaluation")


def ids_of_dataset(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Derive what follows from the card's `dataset`, so that labels and channels are written once.

    Args:
        card: a bundle's card.

    Returns:
        An overlay each for `train`, `inference`, `evaluate` and `metadata`.

    Raises:
        InputError: if channels or labels are not numbered from 0 without gaps.
    """
    dataset = card["dataset"]
    channels = [name for _, name in numbered(card, {int(k): v for k, v in dataset["channel_names"].items()})]
    ids: dict[str, Any] = {"channels": channels}
    metadata: dict[str, Any] = {"name": card["title"]}
    if card["template"] in LABELLED:
        given = dict(numbered(card, {index: name for name, index in dataset["labels"].items()}))
        labels, inputs = given, channels
        if "model" in card:
            ids["used_channels"] = card["model"]["channels"]
            inputs = [channels[number] for number in ids["used_channels"]]
            labels = dict(numbered(card, {index: name for name, index in card["model"]["labels"].items()}))
            ids["reference_labels"] = dataset["labels"]
        ids["labels"] = {name: index for index, name in labels.items()}
        outputs, predicted = labels, labels_in_words(labels)
        if "regions" in dataset:
            ids |= {key: dataset[key] for key in ("regions", "regions_class_order")}
            ids["network_def#out_channels"] = "$len(@regions)"
            outputs = dict(enumerate(ids["regions"]))
            predicted = regions_in_words(ids["regions"])
        image, pred = "network_data_format#inputs#image", "network_data_format#outputs#pred"
        metadata |= {
            "description": card["docs"]["overview"],
            "data_source": f"{dataset['name']} (not included)",
            "image_classes": ", ".join(inputs),
            "label_classes": labels_in_words(given),
            "pred_classes": predicted,
            "references": card["docs"].get("references", []),
            f"{image}#num_channels": len(inputs),
            f"{image}#channel_def": {str(index): channel for index, channel in enumerate(inputs)},
            f"{pred}#num_channels": len(outputs),
            f"{pred}#channel_def": {str(index): name for index, name in outputs.items()},
        }
    own = {id_: value for id_, value in ids.items() if id_ != "reference_labels"}  # inference has no reference
    codes = card.get("model", dataset).get("codes")
    if codes:
        own["dicom_segmentations#codes"] = codes
    return {"train": ids, "evaluate": ids, "inference": own, "metadata": metadata}


def labels_in_words(labels: dict[int, str]) -> str:
    """Name labels with their values."""
    return ", ".join(f"{value} {name}" for value, name in labels.items())


def regions_in_words(regions: dict[str, int | list[int]]) -> str:
    """Name regions with the label values that they unite."""
    values = {name: value if isinstance(value, list) else [value] for name, value in regions.items()}
    return ", ".join(f"{name} {{{', '.join(map(str, value))}}}" for name, value in values.items())


def numbered(card: dict[str, Any], names: dict[int, str]) -> list[tuple[int, str]]:
    """Sort names by their number and check the numbers.

    Args:
        card: the card they come from.
        names: channel or label names by number.

    Returns:
        Pairs of number and name, in order.

    Raises:
        InputError: if the numbers are not 0, 1, 2, ...
    """
    if sorted(names) != list(range(len(names))):
        raise InputError(f"card {card['name']}: {names} must be numbered 0, 1, 2, ... without gaps")
    return sorted(names.items())
