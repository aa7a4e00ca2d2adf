"""What makes another network of the hippocampus bundle as small as the preset `tiny` makes the default one."""

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "unetr": {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 2, "feature_size": 4},
    "nnformer": {"embed_dim": 12, "num_heads": [1, 2, 3, 6], "stem_strides": [1, 1], "windows": [2, 2, 4, 2]},
}
