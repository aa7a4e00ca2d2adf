"""Small programs around the bundles; importing this makes the shared package importable as `scripts`."""

import sys
from pathlib import Path

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
if str(BUNDLES) not in sys.path:
    sys.path.insert(0, str(BUNDLES))
