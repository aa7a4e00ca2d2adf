from __future__ import annotations

from pathlib import Path

from tools.render.bundle import render


def test_model_card_tells_knobs_presets_and_no_more_figures_than_the_card(project: Path) -> None:
    text = render("toy_segmentation", project)["docs/README.md"]
    assert "| `max_epochs` | `5` |" in text
    assert "| `device` | `\"$torch.device('cpu')\"` |" in text
    assert "`network_def`" not in text.split("## Knobs")[1]
    assert "['configs/train.json','configs/tiny.json']" in text
    assert "| setting | device | seconds per step |\n| --- | --- | --- |\n| default | CPU | 0.1 |" in text
    assert "Not measured yet.\n\n## Commands" in text
    assert '--input_shape "[1, 2, 8, 8, 8]"' in text
    assert "\n\n\n" not in text
