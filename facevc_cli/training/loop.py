"""The loop that runs every training: batches, steps, validation, checkpoints, exact resume.

A step's batch and its random numbers depend on (seed, step) alone, and the optimisers' state is saved with the
checkpoint. So a resumed run computes the same losses as an uninterrupted one.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

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
from facevc_cli.training.average import WeightAverage
from facevc_cli.training.config import RunConfig
from facevc_cli.training.run_folder import RunDirectory
from facevc_cli.training.samples import DrawsSamples, write_samples
from facevc_cli.training.task import Checkpoints, Figures, Task
from facevc_cli.training.weights import METRICS, TRAINING, WEIGHTS, load_weights, read_tensors

OWN_WEIGHTS = "own_weights"  # of the last step, saved beside the average


@dataclass
class Progress:
    """The progress of a run; saved with every checkpoint."""

    step: int = 0
    best_loss: float = float("inf")
    validation: dict[str, float] = field(default_factory=dict)
    # sums since the last line of losses.csv, as of `_Meter.describe_state`
    meter: dict[str, Any] = field(default_factory=dict)


class Loop:
    """Runs a task to its last step. `checkpoints` saves the model during the run."""

    def __init__(
        self,
        task: Task,
        run: RunConfig,
        training: Dataset,
        validation: Dataset | None,
        folder: RunDirectory,
        checkpoints: Checkpoints,
        accelerator: Accelerator,
    ):
        self.task, self.run, self.training, self.validation = task, run, training, validation
        self.folder, self.checkpoints, self.accelerator = folder, checkpoints, accelerator
        self.progress, self.meter = Progress(), _Meter()
        task.prepare(accelerator)
        self.average: WeightAverage | None = None

    def fit(self, tally: Tally, resume: bool, stop_at: int | None = None) -> Progress:
        """Trains from the run's current step to its end (or `stop_at`); logs, validates and saves during the run.

        After Ctrl-C or a termination the current step is finished and saved, then Interrupted is raised. With several
        processes the run stops at once, because each process would stop at a different step.
        """
        if self.run.average_decay > 0:
            self.average = WeightAverage(self.accelerator.unwrap_model(self.task.model), self.run.average_decay)
        if resume:
            self._load()
            tally.reporter.note(f"resumed at step {self.progress.step}")
        last = min(self.run.steps, stop_at or self.run.steps)
        tally.reporter.begin(max(0, last - self.progress.step), "steps", self.checkpoints.stage)
        self.task.auxiliary.train()
        self.task.model.train()
        batches = self._read_batches(self.progress.step, last)
        with hold(lambda: 1, "step", terminations=True) if self.accelerator.num_processes == 1 else nullcontext():
            self._run_steps(batches, last, tally)
            del batches  # ends its worker processes cleanly
            check_stop()
        return self.progress

    def _run_steps(self, batches: Iterator[Batch], last: int, tally: Tally) -> None:
        meter = self.meter = _Meter(self.progress.meter)
        for step in range(self.progress.step, last):
            batch = meter.wait_for_batch(batches)
            with explain_precision_errors():
                figures = self.task.step(self._move_to_device(batch), step)
            if self.average is not None:
                self.average.update(step)
            meter.add_step(figures)
            self.progress.step = step + 1
            tally.complete(f"step {step + 1}", **({} if (step + 1) % self.run.log_every else meter.average_loss()))
            if (step + 1) % self.run.log_every == 0 or step + 1 == last:
                self._log(meter)
            if (step + 1) % self.run.validate_every == 0 or step + 1 == last:
                self._validate()
            self._draw_samples_if_due(step + 1)
            stopping = self.accelerator.num_processes == 1 and stop_requested()
            if (step + 1) % self.run.checkpoint_every == 0 or step + 1 == last or stopping:
                self._save("last")
            if stopping:
                return

    def _read_batches(self, first: int, last: int) -> Iterator[Batch]:
        workers = self.run.workers
        context = "spawn" if workers else None  # forked workers would share torch's threads and the store's handle
        loader = DataLoader(
            self.training,
            batch_size=None,
            sampler=range(first, last),
            num_workers=workers,
            multiprocessing_context=context,
            prefetch_factor=8 if workers else None,
            pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=leave_signals_to_parent if workers else None,
        )
        with block_child_signals():
            return iter(loader)

    def _move_to_device(self, batch: Batch) -> Batch:
        return {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in batch.items()}

    def _log(self, meter: "_Meter") -> None:
        row = {"step": self.progress.step, **meter.take_means()}
        self._refuse([name for name, value in row.items() if not math.isfinite(value)])
        if self.accelerator.is_main_process:
            self.folder.log(row)

    def _refuse(self, broken: list[str]) -> None:
        if broken:
            raise FaceVCError(
                f"{self.folder.path}: {', '.join(broken[:4])} became infinite or NaN by step {self.progress.step}. "
                "Earlier checkpoints are kept. Look for broken recordings, or begin anew (--overwrite) with a lower "
                f"{self.checkpoints.stage}.optimiser.learning_rate."
            )

    def _validate(self) -> None:
        if self.validation is None:
            return
        self.task.auxiliary.eval()
        self.task.model.eval()
        totals: dict[str, float] = {}
        with self._use_average():
            for i in range(self.run.validation_batches):
                batch = self._move_to_device(self.validation[i])
                for name, value in self.task.validate(batch, self.progress.step).items():
                    totals[name] = totals.get(name, 0.0) + float(value) / self.run.validation_batches
        self.task.auxiliary.train()
        self.task.model.train()
        if (
            self.accelerator.num_processes > 1
        ):  # all processes must agree on the best checkpoint, because saving waits for all
            means = self.accelerator.reduce(torch.tensor(list(totals.values()), device=self.accelerator.device), "mean")
            totals = dict(zip(totals, means.tolist(), strict=True))
        self.progress.validation = totals
        if self.accelerator.is_main_process:
            self.folder.log({"step": self.progress.step, **{f"valid_{k}": round(v, 6) for k, v in totals.items()}})
        if totals["loss"] < self.progress.best_loss:
            self.progress.best_loss = totals["loss"]
            if self.run.keep_best:
                self._save("best")

    def _draw_samples_if_due(self, step: int) -> None:
        task = self.task
        if not isinstance(task, DrawsSamples) or not self.accelerator.is_main_process:
            return
        if task.samples_every and step % task.samples_every == 0:
            with self._use_average():
                write_samples(self.folder.path, step, task.draw_samples())

    def _save(self, name: str) -> None:
        # Figures are checked less often than weights are saved, and an update can break weights after a finite loss.
        self._refuse(
            [n for n, tensor in self.task.model.state_dict().items() if not bool(torch.isfinite(tensor).all())]
        )
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        if name == "last":
            self.folder.write_losses()
        best = self.progress.best_loss if math.isfinite(self.progress.best_loss) else None  # JSON knows no infinity
        metrics = {
            "step": self.progress.step,
            "best_loss": best,
            "validation": self.progress.validation,
            **self.meter.describe_state(),
        }
        model = self.accelerator.unwrap_model(self.task.model)
        training = self._collect_training_state() if name == "last" else None
        with self._use_average():
            self.checkpoints.save_step(self.folder.checkpoints / name, model, self.progress.step, metrics, training)

    def _use_average(self) -> AbstractContextManager[None]:
        return nullcontext() if self.average is None else self.average.apply()

    def _collect_training_state(self) -> dict[str, dict[str, Tensor]]:
        auxiliary = {k: v for k, v in self._collect_auxiliary_state().items() if ".model." not in k}
        own = {} if self.average is None else {OWN_WEIGHTS: self.average.copy_own_weights()}
        return {
            "auxiliary": auxiliary,
            **own,
            **{f"optimiser_{n}": flatten_optimiser(o) for n, o in self.task.optimisers.items()},
        }

    def _collect_auxiliary_state(self) -> dict[str, Tensor]:
        modules = {name: self.accelerator.unwrap_model(m) for name, m in self.task.auxiliary.items()}
        return {f"{name}.{k}": v for name, m in modules.items() for k, v in m.state_dict().items()}

    def _load(self) -> None:
        folder = self.folder.find_resumable()
        load_weights(
            self.accelerator.unwrap_model(self.task.model), self.checkpoints.read_weights(folder), str(folder / WEIGHTS)
        )
        saved = read_tensors(folder / TRAINING / "auxiliary.safetensors")
        try:
            if self.average is not None:
                self.average.load(read_tensors(folder / TRAINING / f"{OWN_WEIGHTS}.safetensors"))
            with torch.no_grad():
                for name, tensor in self._collect_auxiliary_state().items():
                    if name in saved:
                        tensor.copy_(saved[name])
            for name, optimiser in self.task.optimisers.items():
                load_optimiser(optimiser, read_tensors(folder / TRAINING / f"optimiser_{name}.safetensors"))
        except (KeyError, ValueError, RuntimeError) as error:  # the names or shapes of another model
            raise FaceVCError(
                f"{folder / TRAINING}: the state of the training does not fit the run "
                f"({' '.join(str(error).split())[:200]}). Copy the run again, or pass --overwrite to begin anew."
            ) from error
        self.progress = read_progress(folder / METRICS)
        self.folder.resume_losses(self.progress.step)


def read_progress(path: Path) -> Progress:
    """Reads a run's progress from a checkpoint's metrics.json. FaceVCError if a value is missing or wrong."""
    advice = "Copy the run again, or pass --overwrite to begin anew."
    metrics = read_json(path, advice=advice)
    step, best, validation = metrics.get("step"), metrics.get("best_loss"), metrics.get("validation")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise FaceVCError(f"{path}: step: expected a count of steps, found {shorten(step)}. {advice}")
    if not (best is None or _is_number(best)):
        raise FaceVCError(f"{path}: best_loss: expected a number or null, found {shorten(best)}. {advice}")
    if not isinstance(validation, dict) or not all(_is_number(value) for value in validation.values()):
        raise FaceVCError(f"{path}: validation: expected numbers by name, found {shorten(validation)}. {advice}")
    meter = metrics.get("meter", {})
    groups = (meter.get("sums"), meter.get("counts")) if isinstance(meter, dict) else (None, None)
    if meter and not all(isinstance(group, dict) and all(map(_is_number, group.values())) for group in groups):
        raise FaceVCError(f"{path}: meter: expected sums and counts by name, found {shorten(meter)}. {advice}")
    if meter and meter["sums"].keys() != meter["counts"].keys():
        raise FaceVCError(f"{path}: meter: expected a count for each sum, found {shorten(meter)}. {advice}")
    return Progress(step, math.inf if best is None else float(best), validation, meter)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def explain_precision_errors() -> Iterator[None]:
    """Turns oneDNN's RuntimeError into a FaceVCError if the CPU has no bfloat16 for a kind of layer."""
    try:
        yield
    except RuntimeError as error:
        if "could not create a primitive" not in str(error):
            raise
        raise FaceVCError(
            "--precision bf16: this CPU cannot compute the model's recurrent layers in bfloat16. Leave --precision "
            "out, or train on a GPU."
        ) from error


class _Meter:
    """Averages figures since the last log line.

    It also measures steps per second and the share of time spent waiting for data.
    """

    def __init__(self, begun: Mapping[str, Any] | None = None) -> None:
        """begun: the state of a run that stopped between two lines of losses.csv."""
        self.reset()
        if begun:
            self.sums.update({name: torch.tensor(value, dtype=torch.float32) for name, value in begun["sums"].items()})
            self.counts.update(begun["counts"])

    def describe_state(self) -> dict[str, Any]:
        """The sums and counts, for a checkpoint; nothing just after a line was written."""
        if not self.sums:
            return {}
        return {
            "meter": {"sums": {name: float(value) for name, value in self.sums.items()}, "counts": dict(self.counts)}
        }

    def reset(self) -> None:
        self.sums: Figures = {}
        self.counts: Counter[str] = Counter()  # a term may begin in the middle of the run
        self.steps, self.waited, self.started = 0, 0.0, time.perf_counter()

    def wait_for_batch(self, batches: Iterator[Batch]) -> Batch:
        before = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - before
        return batch

    def add_step(self, figures: Figures) -> None:
        self.steps += 1
        for name, value in figures.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] += 1

    def average_loss(self) -> dict[str, float]:
        return {"loss": float(self.sums["loss"]) / self.counts["loss"]}

    def take_means(self) -> dict[str, float]:
        elapsed = time.perf_counter() - self.started
        row = {name: round(float(value) / self.counts[name], 6) for name, value in self.sums.items()}
        row |= {"steps_per_s": round(self.steps / elapsed, 4), "data_wait": round(self.waited / elapsed, 4)}
        self.reset()
        return row


def flatten_optimiser(optimiser: Optimizer) -> dict[str, Tensor]:
    """Returns an optimiser's state as flat tensors: `<parameter>/<name>`."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}/{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()
    }


def load_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Loads what `flatten_optimiser` returned. The groups keep their configured settings."""
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def make_accelerator(device: str, precision: Precision) -> Accelerator:
    """Makes the accelerator. UsageError if the precision is unknown.

    device: auto, cpu, cuda or mps. With several GPUs, 'accelerate launch' chooses.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"--precision {precision!r}: {name_allowed(precision, get_args(Precision))}")
    resolved = resolve_device(device)
    if resolved.type == "cpu":
        keep_freed_memory()
    if "LOCAL_RANK" not in os.environ:
        if resolved.type == "cuda" and resolved.index is not None:
            torch.cuda.set_device(resolved)
        # accelerate keeps the first device and precision of a process. A second training in one process may need
        # others.
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=resolved.type == "cpu",
        mixed_precision=precision,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
