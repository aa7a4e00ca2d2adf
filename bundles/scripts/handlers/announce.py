"""Say what will be done before it takes its time."""

from __future__ import annotations

import logging
from typing import Any

from ignite.engine import Engine, Events


class Announce:
    """Log one line of facts when an engine starts.

    Args:
        task: what begins.
        facts: what the user would ask: cases, patch, steps, device, output.
    """

    def __init__(self, task: str, **facts: Any) -> None:
        self.task = task
        self.facts = facts

    def attach(self, engine: Engine) -> None:
        """Register with `engine`."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Log the facts."""
        facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.facts.items())
        logging.getLogger(__name__).info("%s: %s", self.task, facts)
