"""A stopped, killed or crashed run goes on as if nothing had happened: the same losses and weights, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.reporters import Recorder
from helpers.stores import TOY, Stores, computes_bf16_lstm, have_same_weights, pretrain, train, weights

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import read_json
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.tables import read_table
from facevc_cli.training.config import RunConfig
from facevc_cli.training.loop import Loop, Progress, explain_precision_errors
from facevc_cli.training.run_folder import RunDirectory

pytestmark = pytest.mark.usefixtures("no_plots")
Run = Callable[..., Recorder]


@pytest.fixture(params=["pretrain", "pretrain-starter", "train", "train-starter"])
def run(request: pytest.FixtureRequest) -> Run:
    """One kind of training: CPC, VQ and CLUB; distillation and discriminator; the face-voice memory on either."""
    kind, _, preset = request.param.partition("-")
    preset = preset or "toy"
    stores = request.getfixturevalue(f"{preset}_stores")
    if kind == "pretrain":
        return lambda output, *overrides, **stage: pretrain(stores, output, preset, *overrides, **stage)
    init = request.getfixturevalue(f"{preset}_run")
    return lambda output, *overrides, **stage: train(stores, init, output, *overrides, **stage)


def _values(output: Path) -> list[dict[str, str]]:
    """The run's loss curves, less what time it took."""
    rows = read_table(output / "losses.csv")
    return [{k: v for k, v in row.items() if k not in ("steps_per_s", "data_wait")} for row in rows]


def test_resumed_equals_uninterrupted(run: Run, request: pytest.FixtureRequest, tmp_path: Path):
    whole, first = run(tmp_path / "whole"), run(tmp_path / "parts", stop_at=3)
    second = run(tmp_path / "parts")
    assert second.notes == ["resumed at step 3"]
    assert len(whole.losses) == 6 and {**first.losses, **second.losses} == whole.losses
    kept, again = ({p.name for p in (tmp_path / name / "checkpoints").iterdir()} for name in ("whole", "parts"))
    keeps_no_best = request.node.callspec.params["run"] == "train-starter"
    assert kept == again == ({"last"} if keeps_no_best else {"last", "best"})
    for name in kept:
        assert have_same_weights(tmp_path / "whole" / "checkpoints" / name, tmp_path / "parts" / "checkpoints" / name)
    assert _values(tmp_path / "whole") == _values(tmp_path / "parts")
    assert len({*whole.losses.values()}) == 6  # the losses do move


def test_the_seed_decides(run: Run, tmp_path: Path):
    one, again, other = (run(tmp_path / str(n), seed=seed, stop_at=2) for n, seed in enumerate((5, 5, 6), start=1))
    assert one.losses == again.losses
    assert not set(one.losses.values()) & set(other.losses.values())
    with pytest.raises(FaceVCError, match=r"seed: 5 there, 6 now"):
        run(tmp_path / "1", seed=6)


def test_a_finished_run_has_nothing_to_do(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    shutil.copytree(toy_run, tmp_path / "run")
    assert pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.steps=4").losses == {}
    assert have_same_weights(tmp_path / "run" / "checkpoints" / "last", toy_run / "checkpoints" / "last")


def test_a_finished_run_goes_on_with_more_steps(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    shutil.copytree(toy_run, tmp_path / "run")
    longer = pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.steps=7")
    assert longer.notes == ["resumed at step 4"] and list(longer.losses) == ["step 5", "step 6", "step 7"]
    assert [row["step"] for row in read_table(tmp_path / "run" / "losses.csv") if row["loss"]][-1] == "7"
    again = pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.steps=7")
    assert again.losses == {} and load_checkpoint(tmp_path / "run" / "checkpoints" / "last").step == 7


def test_a_checkpoint_caught_between_its_renames(toy_stores: Stores, tmp_path: Path):
    whole = pretrain(toy_stores, tmp_path / "whole")
    pretrain(toy_stores, tmp_path / "run", stop_at=3)
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "last").rename(checkpoints / ".last.old")
    half = checkpoints / ".last.0a1b2c3d.tmp"
    shutil.copytree(checkpoints / ".last.old", half)
    (half / "config.yaml").unlink()
    assert load_checkpoint(tmp_path / "run").step == 3
    second = pretrain(toy_stores, tmp_path / "run")
    assert second.notes == ["resumed at step 3"] and second.losses["step 6"] == whole.losses["step 6"]
    assert sorted(p.name for p in checkpoints.iterdir()) == ["best", "last"]


@pytest.mark.parametrize(
    "file", ["model.safetensors", "training/optimiser_model.safetensors", "training/auxiliary.safetensors"]
)
def test_a_damaged_checkpoint_is_not_resumed(toy_stores: Stores, toy_run: Path, tmp_path: Path, file: str):
    shutil.copytree(toy_run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last" / file
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(FaceVCError, match=rf"{path.name}: .*(damaged|not a whole safetensors file)"):
        pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.steps=4")


def test_other_settings_are_not_resumed(toy_stores: Stores, tmp_path: Path):
    pretrain(toy_stores, tmp_path, stop_at=1)
    with pytest.raises(FaceVCError, match=r"pretrain.cpc: 1.0 there, 0.0 now.*--overwrite"):
        pretrain(toy_stores, tmp_path, "toy", "pretrain.cpc=0")
    assert len(pretrain(toy_stores, tmp_path, "toy", "pretrain.cpc=0", overwrite=True, stop_at=2).losses) == 2


def test_another_table_is_not_resumed(toy_stores: Stores, tmp_path: Path):
    table = tmp_path / "w.csv"
    table.write_text("utterance,weight\nbert/b 1,2\n")
    pretrain(toy_stores, tmp_path / "run", sampling_weights=table, stop_at=1)
    table.write_text("utterance,weight\nbert/b 1,3\n")
    with pytest.raises(FaceVCError, match=r"inputs.weights"):
        pretrain(toy_stores, tmp_path / "run", sampling_weights=table)
    texts = tmp_path / "aligned.csv"
    texts.write_text("utterance,text_id\nbert/b 1,1\n")
    pretrain(toy_stores, tmp_path / "aligned", aligned=texts, stop_at=1)
    texts.write_text("utterance,text_id\nbert/b 1,2\n")
    with pytest.raises(FaceVCError, match=r"inputs.aligned"):
        pretrain(toy_stores, tmp_path / "aligned", aligned=texts)


@pytest.mark.slow
def test_worker_processes_change_nothing(toy_stores: Stores, tmp_path: Path):
    alone = pretrain(toy_stores, tmp_path / "alone", stop_at=2)
    helped = pretrain(toy_stores, tmp_path / "helped", "toy", "pretrain.workers=1", stop_at=2)
    assert helped.losses == alone.losses


@pytest.mark.slow
def test_a_killed_run_loses_at_most_an_interval(toy_stores: Stores, tmp_path: Path):
    """SIGKILL in the middle; then the same command. The rest's losses are those of a run that was never killed."""
    steps = ("pretrain.steps=60", "pretrain.checkpoint_every=4", "pretrain.validate_every=100")
    output = tmp_path / "killed"
    code = (
        "import sys, time; from pathlib import Path; from helpers import stores\n"
        "sys.modules['matplotlib'] = None\n"
        "class Telling(stores.Recorder):\n"
        "    def advance(self, item, **figures):\n"
        "        print(item, flush=True); time.sleep(0.01)\n"
        "stores.Recorder = Telling\n"
        "f, v, o, *s = sys.argv[1:]\n"
        "stores.pretrain(stores.Stores(Path(f), Path(v), Path()), Path(o), 'toy', *s)\n"
    )
    command = [sys.executable, "-c", code, str(toy_stores.features), str(toy_stores.voices), str(output), *steps]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # as many threads as here, for equal losses
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen = int(line.split()[1])
            if seen >= 10:
                process.send_signal(signal.SIGKILL)
                break
        seen = max([seen, *(int(line.split()[1]) for line in process.stdout)])
    assert process.returncode == -signal.SIGKILL and 10 <= seen < 60
    saved = load_checkpoint(output / "checkpoints" / "last").step
    assert saved % 4 == 0 and seen - 4 <= saved <= seen
    resumed = pretrain(toy_stores, output, "toy", *steps, stop_at=saved + 3)
    assert resumed.notes == [f"resumed at step {saved}"]
    whole = pretrain(toy_stores, tmp_path / "whole", "toy", *steps, stop_at=saved + 3)
    assert {k: v for k, v in whole.losses.items() if k in resumed.losses} == resumed.losses and len(resumed.losses) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_its_step(toy_stores: Stores, tmp_path: Path, number: int, code: int):
    """No checkpoint is due for long; what was trained is kept, and the rest's losses are those of a run that was never
    stopped.
    """
    steps = ("pretrain.steps=100000", "pretrain.checkpoint_every=50000", "pretrain.validate_every=50000")
    output = tmp_path / "run"
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from facevc_cli.cli.app import main\n"
        "from facevc_cli.cli.report import ConsoleReporter\n"
        "ConsoleReporter.advance = lambda self, item, **_: print(item, file=sys.stderr, flush=True)\n"
        "main()\n"
    )
    settings = [argument for setting in (*TOY, *steps) for argument in ("--set", setting)]
    command = [
        sys.executable,
        "-c",
        script,
        "pretrain",
        str(toy_stores.features),
        "--voices",
        str(toy_stores.voices),
        "-o",
        str(output),
    ]
    command += ["--preset", "toy", "-d", "cpu", *settings, "--set", "pretrain.workers=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line == "step 5\n":
                os.killpg(process.pid, number)
                break
        said = process.stderr.read()
    assert (
        process.returncode == code
        and "stopping, 1 step in hand; Ctrl-C again drops it" in said
        and "Traceback" not in said
    )
    saved = load_checkpoint(output / "checkpoints" / "last").step
    assert saved == max(int(line.split()[1]) for line in ["step 5", *said.splitlines()] if line.startswith("step "))
    resumed = pretrain(toy_stores, output, "toy", *steps, stop_at=saved + 2)
    assert resumed.notes == [f"resumed at step {saved}"]
    whole = pretrain(toy_stores, tmp_path / "whole", "toy", *steps, stop_at=saved + 2)
    assert {k: v for k, v in whole.losses.items() if k in resumed.losses} == resumed.losses and len(resumed.losses) == 2


def test_a_loss_that_became_nan_stops_before_it_is_saved(toy_stores: Stores, tmp_path: Path):
    wild = (
        "pretrain.optimiser={learning_rate: 1e30, warmup_steps: 0, milestones: []}",
        "pretrain.log_every=100",
        "pretrain.steps=40",
    )
    with pytest.raises(
        FaceVCError,
        match=r"infinite or NaN by step.*Earlier checkpoints are kept.*lower pretrain.optimiser.learning_rate",
    ):
        pretrain(toy_stores, tmp_path, "toy", *wild)
    for folder in (tmp_path / "checkpoints").glob("*"):
        assert all(torch.isfinite(v).all() for v in weights(folder).values())


def test_a_cpu_without_bfloat16_is_told():
    with (
        pytest.raises(FaceVCError, match="--precision bf16: this CPU cannot .* Leave --precision out"),
        explain_precision_errors(),
    ):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive.")
    with pytest.raises(RuntimeError, match="^shapes"), explain_precision_errors():
        raise RuntimeError("shapes differ")


@pytest.mark.skipif(not computes_bf16_lstm(), reason="this CPU has no bfloat16 for recurrent layers")
def test_two_precisions_in_one_process(toy_stores: Stores, tmp_path: Path):
    """accelerate remembers a process' first device and precision; a training must get its own."""
    half = pretrain(toy_stores, tmp_path / "half", precision="bf16", stop_at=3)
    full = pretrain(toy_stores, tmp_path / "full", stop_at=3)
    for step, loss in full.losses.items():
        assert half.losses[step] != loss and half.losses[step] == pytest.approx(loss, rel=0.05)
    assert {
        v.dtype for k, v in weights(tmp_path / "half" / "checkpoints" / "last").items() if "num_batches" not in k
    } == {torch.float32}


def test_processes_agree_on_the_best(tmp_path: Path):
    """Each validates on crops of its own, but saving waits for all: the mean decides, not what one of them found."""
    task = SimpleNamespace(
        auxiliary=torch.nn.ModuleDict(),
        model=torch.nn.Module(),
        validate=lambda batch, step: {"loss": torch.tensor(1.0)},
    )
    two = SimpleNamespace(
        num_processes=2, device=torch.device("cpu"), is_main_process=False, reduce=lambda values, how: values + 4
    )
    loop = object.__new__(Loop)
    loop.__dict__.update(
        task=task,
        accelerator=two,
        run=RunConfig(validation_batches=2),
        validation=[{}, {}],
        folder=RunDirectory(tmp_path),
        average=None,
    )
    loop.progress = Progress(step=3, best_loss=2.0)
    saved: list[str] = []
    loop._save = saved.append  # type: ignore[assignment,method-assign]
    loop._validate()
    assert loop.progress.validation == {"loss": 5.0} and loop.progress.best_loss == 2.0 and saved == []
    loop.progress.best_loss = 6.0
    loop._validate()
    assert loop.progress.best_loss == 5.0 and saved == ["best"]


@pytest.mark.slow
def test_two_processes(toy_stores: Stores, tmp_path: Path):
    """Started by torchrun, as `accelerate launch` starts several GPUs: each of two works on its half of the batch, one
    writes.
    """
    settings = [x for o in (*TOY, "pretrain.validate_every=2") for x in ("--set", o)]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "facevc_cli"),
        *("pretrain", str(toy_stores.features), "--voices", str(toy_stores.voices), "-o", str(tmp_path / "run")),
        *("--preset", "toy", "--device", "cpu", "--quiet", *settings),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last").step == 6
    assert len([r for r in read_table(tmp_path / "run" / "losses.csv") if r["valid_loss"]]) == 3


def test_a_line_of_losses_that_a_stop_divided_is_whole(
    toy_stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped at step 3, between the lines of steps 2 and 4: the line of step 4 is the mean of both its steps."""
    settings = ("pretrain.log_every=2", "pretrain.checkpoint_every=6")
    pretrain(toy_stores, tmp_path / "whole", "toy", *settings)
    asked = iter([False, False, True])
    with monkeypatch.context() as patch:
        patch.setattr("facevc_cli.training.loop.stop_requested", lambda: next(asked))
        pretrain(toy_stores, tmp_path / "stopped", "toy", *settings)
    assert load_checkpoint(tmp_path / "stopped").step == 3
    pretrain(toy_stores, tmp_path / "stopped", "toy", *settings)
    whole, stopped = (
        [
            {k: v for k, v in row.items() if k not in ("steps_per_s", "data_wait")}
            for row in read_table(tmp_path / name / "losses.csv")
        ]
        for name in ("whole", "stopped")
    )
    assert whole == stopped and [row["step"] for row in whole if row["loss"]] == ["2", "4", "6"]
    assert "meter" not in read_json(
        tmp_path / "stopped" / "checkpoints" / "last" / "metrics.json"
    )  # after a line nothing is left to add
