"""Engines that MONAI does not have."""

from __future__ import annotations

import logging
from typing import Any

from ignite.engine import Events
from monai.engines import SupervisedEvaluator

from .data.case_dataset import FAILURE
from .errors import InputError, brief_message, chain


class CaseEvaluator(SupervisedEvaluator):
    """Run a network case by case; one that fails is reported, the next goes on, and the end says which failed.

    What handlers do at `MODEL_COMPLETED`, such as writing a result, belongs to the case. What cannot be written stops
    the run, since it is no fault of the case.

    Args:
        arguments: of MONAI's `SupervisedEvaluator`; its data are a `CaseDataset`, one case per batch.
    """

    def __init__(self, **arguments: Any) -> None:
        self.failures: dict[str, str] = {}
        super().__init__(**arguments)
        self.add_event_handler(Events.STARTED, lambda _: self.failures.clear())
        self.add_event_handler(Events.COMPLETED, self.report)

    def report(self) -> None:
        """Raise an `InputError` that names the cases that failed, if any did."""
        if self.failures:
            texts = [f"case {case}: {message}" for case, message in self.failures.items()]
            rest = f" | and {len(texts) - 3} more, see above" if len(texts) > 3 else ""
            some = len(texts) < self.state.iteration
            done = f"{len(texts)} of {self.state.iteration} cases failed{', the others are done' if some else ''}: "
            raise InputError(done + " | ".join(texts[:3]) + rest)

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> Any:
        case = batchdata["case"][0]
        try:
            if FAILURE in batchdata:
                raise InputError(batchdata[FAILURE][0])
            return super()._iteration(engine, batchdata)
        except Exception as error:
            if any(isinstance(link, OSError) for link in chain(error)):
                raise
            self.failures[case] = brief_message(error)
            logging.getLogger(__name__).warning("case %s failed: %s", case, self.failures[case])
            engine.state.batch, engine.state.output = [], []
            return []
