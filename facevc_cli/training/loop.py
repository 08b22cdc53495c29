"""The loop that both trainings run in: batches, steps, validation, checkpoints, exact resume.

A step's batch and its random draws depend on (seed, step) alone, and the optimisers' state travels with the checkpoint, so that a
resumed run computes the very losses of an uninterrupted one.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from facevc_cli.core.choices import Precision, name_allowed
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.parsing import read_json, shorten
from facevc_cli.core.progress import Tally
from facevc_cli.core.stopping import check_stop, hold, stop_requested
from facevc_cli.core.tuning import keep_freed_memory
from facevc_cli.core.workers import block_child_signals, leave_signals_to_parent
from facevc_cli.corpus.crops import Batch
from facevc_cli.families.checkpoint import METRICS, TRAINING, WEIGHTS, Checkpoint, load_weights, read_tensors, read_weights, save_checkpoint
from facevc_cli.families.fvmvc.config import RunConfig
from facevc_cli.training.run_folder import RunDirectory
from facevc_cli.training.task import Figures, Task


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    best_loss: float = float("inf")
    validation: dict[str, float] = field(default_factory=dict)


class Loop:
    """Runs a task to its last step. `template` is the checkpoint to fill in: model, configuration, front-end, stage."""

    def __init__(
        self, task: Task, run: RunConfig, training: Dataset, validation: Dataset | None, folder: RunDirectory, template: Checkpoint, accelerator: Accelerator
    ):
        self.task, self.run, self.training, self.validation = task, run, training, validation
        self.folder, self.template, self.accelerator = folder, template, accelerator
        self.progress = Progress()
        task.prepare(accelerator)

    def fit(self, tally: Tally, resume: bool, stop_at: int | None = None) -> Progress:
        """Trains from where the run stands to its end (or `stop_at`); logs, validates and saves on the way.

        After Ctrl-C or a termination the step in hand is finished and saved, then Interrupted is raised. Several processes do not wait for that: each
        would stop at a step of its own.
        """
        if resume:
            self._load()
            tally.reporter.note(f"resumed at step {self.progress.step}")
        last = min(self.run.steps, stop_at or self.run.steps)
        tally.reporter.begin(max(0, last - self.progress.step), "steps", self.template.stage)
        self.task.auxiliary.train()
        self.task.model.train()
        batches = self._batches(self.progress.step, last)
        with hold(lambda: 1, "step", terminations=True) if self.accelerator.num_processes == 1 else nullcontext():
            self._run_steps(batches, last, tally)
            del batches  # ends its processes in order
            check_stop()
        return self.progress

    def _run_steps(self, batches: Iterator[Batch], last: int, tally: Tally) -> None:
        meter = _Meter()
        for step in range(self.progress.step, last):
            batch = meter.waiting(batches)
            with precision_errors_told():
                figures = self.task.step(self._on_device(batch), step)
            meter.step(figures)
            self.progress.step = step + 1
            tally.done(f"step {step + 1}", **({} if (step + 1) % self.run.log_every else meter.shown()))
            if (step + 1) % self.run.log_every == 0 or step + 1 == last:
                self._log(meter)
            if (step + 1) % self.run.validate_every == 0 or step + 1 == last:
                self._validate()
            stopping = self.accelerator.num_processes == 1 and stop_requested()
            if (step + 1) % self.run.checkpoint_every == 0 or step + 1 == last or stopping:
                self._save("last")
            if stopping:
                return

    def _batches(self, first: int, last: int) -> Iterator[Batch]:
        workers = self.run.workers
        context = "spawn" if workers else None  # forked workers would share torch's threads and the store's handle
        loader = DataLoader(
            self.training, batch_size=None, sampler=range(first, last), num_workers=workers, multiprocessing_context=context,
            prefetch_factor=8 if workers else None, pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=leave_signals_to_parent if workers else None,
        )  # fmt: skip
        with block_child_signals():
            return iter(loader)

    def _on_device(self, batch: Batch) -> Batch:
        return {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in batch.items()}

    def _log(self, meter: "_Meter") -> None:
        row = {"step": self.progress.step, **meter.means()}
        self._refuse([name for name, value in row.items() if not math.isfinite(value)])
        if self.accelerator.is_main_process:
            self.folder.log(row)

    def _refuse(self, broken: list[str]) -> None:
        if broken:
            raise FaceVCError(
                f"{self.folder.path}: {', '.join(broken[:4])} became infinite or NaN by step {self.progress.step}. The checkpoints before are kept. "
                f"Look for broken recordings, or begin anew (--overwrite) with a lower {self.template.stage}.optimiser.learning_rate."
            )

    def _validate(self) -> None:
        if self.validation is None:
            return
        self.task.auxiliary.eval()
        self.task.model.eval()
        totals: dict[str, float] = {}
        for i in range(self.run.validation_batches):
            for name, value in self.task.validate(self._on_device(self.validation[i]), self.progress.step).items():
                totals[name] = totals.get(name, 0.0) + float(value) / self.run.validation_batches
        self.task.auxiliary.train()
        self.task.model.train()
        if self.accelerator.num_processes > 1:  # all must agree on which checkpoint is best: saving waits for everyone
            means = self.accelerator.reduce(torch.tensor(list(totals.values()), device=self.accelerator.device), "mean")
            totals = dict(zip(totals, means.tolist(), strict=True))
        self.progress.validation = totals
        if self.accelerator.is_main_process:
            self.folder.log({"step": self.progress.step, **{f"valid_{k}": round(v, 6) for k, v in totals.items()}})
        if totals["loss"] < self.progress.best_loss:
            self.progress.best_loss = totals["loss"]
            if self.run.keep_best:
                self._save("best")

    def _save(self, name: str) -> None:
        # The figures are looked at less often than that, and a step's update can break what its loss did not show.
        self._refuse([n for n, tensor in self.task.model.state_dict().items() if not bool(torch.isfinite(tensor).all())])
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        if name == "last":
            self.folder.write_losses()
        self.template.step = self.progress.step
        best = self.progress.best_loss if math.isfinite(self.progress.best_loss) else None  # JSON knows no infinity
        self.template.metrics = {"step": self.progress.step, "best_loss": best, "validation": self.progress.validation}
        self.template.model = self.accelerator.unwrap_model(self.task.model)
        training = self._training_state() if name == "last" else None
        save_checkpoint(self.folder.checkpoints / name, self.template, training)

    def _training_state(self) -> dict[str, dict[str, Tensor]]:
        auxiliary = {k: v for k, v in self._auxiliary_state().items() if ".model." not in k}
        return {"auxiliary": auxiliary, **{f"optimiser_{n}": optimiser_tensors(o) for n, o in self.task.optimisers.items()}}

    def _auxiliary_state(self) -> dict[str, Tensor]:
        modules = {name: self.accelerator.unwrap_model(m) for name, m in self.task.auxiliary.items()}
        return {f"{name}.{k}": v for name, m in modules.items() for k, v in m.state_dict().items()}

    def _load(self) -> None:
        folder = self.folder.resumable()
        load_weights(self.accelerator.unwrap_model(self.task.model), read_weights(folder), str(folder / WEIGHTS))
        saved = read_tensors(folder / TRAINING / "auxiliary.safetensors")
        try:
            with torch.no_grad():
                for name, tensor in self._auxiliary_state().items():
                    if name in saved:
                        tensor.copy_(saved[name])
            for name, optimiser in self.task.optimisers.items():
                load_optimiser(optimiser, read_tensors(folder / TRAINING / f"optimiser_{name}.safetensors"))
        except (KeyError, ValueError, RuntimeError) as error:  # names and shapes of another model
            raise FaceVCError(
                f"{folder / TRAINING}: the state of the training does not fit the run ({' '.join(str(error).split())[:200]}). Copy the run again, "
                "or pass --overwrite to begin anew."
            ) from error
        self.progress = read_progress(folder / METRICS)
        self.folder.resume_losses(self.progress.step)


def read_progress(path: Path) -> Progress:
    """Where a checkpoint's metrics.json says that a run stands; FaceVCError where it says nothing of the kind."""
    advice = "Copy the run again, or pass --overwrite to begin anew."
    metrics = read_json(path, advice=advice)
    step, best, validation = metrics.get("step"), metrics.get("best_loss"), metrics.get("validation")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise FaceVCError(f"{path}: step: expected a count of steps, found {shorten(step)}. {advice}")
    if not (best is None or _is_number(best)):
        raise FaceVCError(f"{path}: best_loss: expected a number or null, found {shorten(best)}. {advice}")
    if not isinstance(validation, dict) or not all(_is_number(value) for value in validation.values()):
        raise FaceVCError(f"{path}: validation: expected numbers by name, found {shorten(validation)}. {advice}")
    return Progress(step, math.inf if best is None else float(best), validation)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def precision_errors_told() -> Iterator[None]:
    """A CPU without bfloat16 for a kind of layer makes oneDNN raise a RuntimeError: told as a FaceVCError."""
    try:
        yield
    except RuntimeError as error:
        if "could not create a primitive" not in str(error):
            raise
        raise FaceVCError(
            "--precision bf16: this CPU cannot compute the model's recurrent layers in bfloat16. Leave --precision out, or train on a GPU."
        ) from error


class _Meter:
    """Means of the figures since the last log line, steps a second, and the share of time spent waiting for data."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.sums: Figures = {}
        self.counts: Counter[str] = Counter()  # a term may begin in the middle of the run
        self.steps, self.waited, self.started = 0, 0.0, time.perf_counter()

    def waiting(self, batches: Iterator[Batch]) -> Batch:
        before = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - before
        return batch

    def step(self, figures: Figures) -> None:
        self.steps += 1
        for name, value in figures.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] += 1

    def shown(self) -> dict[str, float]:
        return {"loss": float(self.sums["loss"]) / self.steps}

    def means(self) -> dict[str, float]:
        elapsed = time.perf_counter() - self.started
        row = {name: round(float(value) / self.counts[name], 6) for name, value in self.sums.items()}
        row |= {"steps_per_s": round(self.steps / elapsed, 4), "data_wait": round(self.waited / elapsed, 4)}
        self.reset()
        return row


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat tensors: `<parameter>/<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"{index}/{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()}


def load_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; the groups' settings stay as configured."""
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def make_accelerator(device: str, precision: Precision) -> Accelerator:
    """device: auto, cpu, cuda or mps ('accelerate launch' decides among several GPUs); precision: UsageError for an unknown one."""
    if precision not in get_args(Precision):
        raise UsageError(f"--precision {precision!r}: {name_allowed(precision, get_args(Precision))}")
    resolved = resolve_device(device)
    if resolved.type == "cpu":
        keep_freed_memory()
    if "LOCAL_RANK" not in os.environ:
        if resolved.type == "cuda" and resolved.index is not None:
            torch.cuda.set_device(resolved)
        # accelerate keeps a process' first device and precision; a second training in one process may want others.
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=resolved.type == "cpu",
        mixed_precision=precision,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


