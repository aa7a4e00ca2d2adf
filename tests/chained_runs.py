"""Several runs of bundles one after the other in one process: `python -m tests.chained_runs runs.json`.

The file lists the arguments of every `monai.bundle.run`. Starting Python and importing take longer than a tiny run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from monai.bundle import run

if __name__ == "__main__":
    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        run(**arguments)
