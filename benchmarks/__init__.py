"""Measurements of speed and memory, each a small program."""

import tools  # noqa: F401  makes the shared package importable as `scripts`
