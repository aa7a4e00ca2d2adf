"""Checkpoints of a training: the best and the final model to use, the last state to go on from."""

from __future__ import annotations

import logging
import math
import os
import shutil
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..checkpoints import all_marks, load_state, read_checkpoint
from ..checkpoints.settings import meaning_of_setting
from ..errors import InputError, check_flags
from ..files import claimed, first_free, release, save_tensors, write_atomically
from ..processes import rank_and_size

# MONAI Label serves the file with the shortest name, which has to be the best model
BEST, FINAL, LAST = "model.pt", "model_final.pt", "training_state.pt"


class TrainingCheckpoint:
    """Write `model.pt` (best by validation), `model_final.pt` and `training_state.pt`, and resume from the latter.

    Attach it after the validation, whose verdict it reads. Files are replaced atomically, by the first process only.
    Files of an earlier training are set aside in `former_<n>/`, not overwritten; later rounds of a federated training
    belong to the same one. A second training into the folder at the same time is refused; so are processes that do not
    share their gradients, or do not all go on after the same epoch with the same cases.

    Args:
        ckpt_dir: folder of the checkpoints.
        network: whose weights are kept; unwrapped, also under DDP.
        optimizer: whose state resuming needs.
        evaluator: the validation, whose best metric decides.
        plan: what a user of the weights would otherwise have to guess, kept beside them: plain values, such as the
            architecture, spacing (mm), normalisation and patch size (voxels).
        settings: what must be equal for a resumed run to be the same run, such as seed and batch size; `batch_size` is
            a process's, and what must be equal is that of all together. `network` holds the network's own; the
            optimiser's are added. What a state file of an earlier release does not tell is not compared.
        resume: go on from `training_state.pt` where there is one.
        interval: epochs between two writings of `training_state.pt`.
        rounds: of a federated training, whose client takes its weights from the server.
        trained_on: marks of the training cases, kept in the plan, see `scripts.data.case_marks`.
        pretrained_on: marks of the images that a pretraining takes, see `scripts.data.image_marks`.
        seen_before: both of what the network starts from, by name, see `scripts.checkpoints.seen_before`.

    Raises:
        InputError: if such a client is to resume, which would undo the server's weights.
    """

    def __init__(
        self,
        ckpt_dir: str,
        network: nn.Module,
        optimizer: Optimizer,
        evaluator: Evaluator,
        plan: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        resume: bool = False,
        interval: int = 1,
        rounds: int = 1,
        trained_on: Sequence[str] = (),
        pretrained_on: Sequence[str] = (),
        seen_before: dict[str, list[str]] | None = None,
    ) -> None:
        check_flags(resume=resume)
        if resume and rounds > 1:
            raise InputError(
                f"resume is True with {rounds} rounds: a federated client goes on from the server's weights, not from "
                f"{LAST}; give resume=False"
            )
        self.folder = Path(ckpt_dir)
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        own = {"trained_on": trained_on, "pretrained_on": pretrained_on}
        self.plan = (plan or {}) | all_marks(own, seen_before or {})
        self.settings = dict(settings or {})
        network_settings = self.settings.pop("network", {})
        self.settings |= {f"{name} of the network": value for name, value in network_settings.items()}
        # torch would go on with the former ones without a word; of the groups the first shows weight and layer decay
        for name, value in optimizer.param_groups[0].items():
            if name not in ("params", "name", "lr"):
                self.settings[f"{name} of the optimizer"] = value
        if "batch_size" in self.settings:
            self.settings["batch_size"] *= rank_and_size()[1]
        self.resume = resume
        self.interval = interval
        self._release: Callable[[], Any] = lambda: None
        self.log = logging.getLogger(__name__)

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Resume, or make room, before the first epoch."""
        if engine.state.epoch > 0:
            return
        if engine.state.rank == 0:
            self._claim()
        try:
            self._begin(engine)
        except BaseException:
            self._release()
            raise

    def _begin(self, engine: Engine) -> None:
        self.settings["accumulation_steps"] = engine.accumulation_steps
        path = self.folder / LAST
        found = self.resume and path.is_file()
        if found:
            self._load(engine, path)
        self._check_processes(engine)
        if not found and engine.state.rank == 0:
            if self.resume:
                self.log.info("nothing to resume in %s: training from the start", self.folder)
            self._set_aside()

    def _check_processes(self, engine: Engine) -> None:
        """Refuse to train on where processes have other weights or cases, which no later step would tell."""
        _, processes = rank_and_size()
        if processes == 1:
            return
        if not any(isinstance(module, DistributedDataParallel) for module in engine.network.modules()):
            raise InputError(
                f"each of {processes} processes would train a network of its own, since `network` is no "
                "DistributedDataParallel: give --network#module what you gave --network"
            )
        told: list[tuple[int, Any]] = [(0, None)] * processes
        dist.all_gather_object(told, (engine.state.epoch, self.settings.get("cases")))
        epochs, cases = (list(dict.fromkeys(values)) for values in zip(*told, strict=True))
        if len(epochs) > 1:
            raise InputError(
                f"processes go on after epochs {' and '.join(map(str, epochs))}, since not all see the same {LAST} in "
                f"{self.folder}: give --ckpt_dir a folder that all nodes see"
            )
        if len(cases) > 1:
            raise InputError(
                f"processes have different cases to train + validate: {' and '.join(map(str, cases))}: give "
                "--dataset_dir a folder in which all nodes can read the same files"
            )

    def save(self, engine: Engine) -> None:
        """Write the best model if this epoch's validation found one, and the state."""
        if engine.state.rank != 0:
            return
        epoch = engine.state.epoch
        if self.evaluator.state.best_metric_epoch == epoch:
            save_tensors(self._model(), self.folder / BEST)
        if epoch % self.interval == 0 or epoch == engine.state.max_epochs:
            save_tensors(self._state(engine), self.folder / LAST)

    def finish(self, engine: Engine) -> None:
        """Write the final model; without any validation, or any that gave a number, it is the best one too."""
        if engine.state.rank != 0:
            return
        save_tensors(self._model(), self.folder / FINAL)
        unproven = self.evaluator.state.best_metric_epoch == -1 or math.isnan(self.evaluator.state.best_metric)
        if unproven:
            save_tensors(self._model(), self.folder / BEST)
        self._release()
        chosen = "the last one, since nothing was validated" if unproven else "best by validation"
        self.log.info("weights in %s: %s (%s), %s", self.folder, BEST, chosen, FINAL)

    def _claim(self) -> None:
        """Keep other trainings out of the folder until this one ends or is gone."""
        try:
            handle = claimed(self.folder)
        except BlockingIOError as error:
            raise InputError(f"another training writes to {self.folder}: give this one another --ckpt_dir") from error
        if handle is not None:
            self._release = weakref.finalize(self, release, handle)

    def _model(self) -> dict[str, Any]:
        return {"model": self.network.state_dict(), "plan": self.plan}

    def _state(self, engine: Engine) -> dict[str, Any]:
        best = self.evaluator.state
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": engine.scaler.state_dict() if engine.scaler is not None else {},
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": float(best.best_metric),
            "best_metric_epoch": best.best_metric_epoch,
            "settings": self.settings,
        }

    def _load(self, engine: Engine, path: Path) -> None:
        state = read_checkpoint(path)
        if "settings" not in state:
            raise InputError(
                f"{path} holds weights, no state of a training to go on from: remove it, or give it by pretrained"
            )
        former = state["settings"]
        known = [name for name in self.settings if name in former]
        differ = [k for k in known if meaning_of_setting(former[k]) != meaning_of_setting(self.settings[k])]
        if differ:
            names = {
                "batch_size": "batch_size of all processes together",
                "total_steps": "total_steps (max_epochs x steps_per_epoch)",
            }
            was = ", ".join(f"{names.get(k, k)} {former[k]} (now {self.settings[k]})" for k in differ)
            raise InputError(f"{path} belongs to another training, with {was}: give the same values, or resume=False")
        if state["epoch"] > engine.state.max_epochs:
            raise InputError(
                f"{path} is of epoch {state['epoch']}, max_epochs is {engine.state.max_epochs}: give the same "
                "max_epochs as before, or resume=False"
            )
        load_state(self.network, state["model"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        if engine.scaler is not None and state["scaler"]:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        self.log.info("resumed after epoch %d of %d from %s", engine.state.epoch, engine.state.max_epochs, path)

    def _set_aside(self) -> None:
        former = [path for name in (BEST, FINAL, LAST) if (path := self.folder / name).exists()]
        if former:
            target = first_free(self.folder / "former_")
            target.mkdir()
            for path in former:
                # models stay in use until they are replaced; a state must not be resumed by mistake
                if path.name == LAST:
                    os.replace(path, target / LAST)
                else:
                    write_atomically(target / path.name, partial(shutil.copyfile, path))
            self.log.info("%d files of an earlier training are kept in %s", len(former), target)
