"""Face training: mixed supervision reaches what it should, and what is frozen stays frozen to the last bit."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from helpers.pretraining import copy_state, find_changed
from helpers.stores import FACE_DIM, TOY, Stores, computes_bf16_lstm, make_stores, pretrain, train, weights
from safetensors.torch import load_file
from torch import Tensor

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.families.fvmvc.face_training import TERMS, MixedSupervision, TrainTask
from facevc_cli.families.fvmvc.training_inputs import FacePairs, read_inputs
from facevc_cli.files.tables import read_table
from facevc_cli.training.loop import make_accelerator

pytestmark = pytest.mark.usefixtures("no_plots")
FROZEN = ("content_encoder.", "speaker_encoder.", "pitch_level.", "mel_")


def _supervision(task: TrainTask) -> MixedSupervision:
    supervision = task.auxiliary["supervision"]
    assert isinstance(supervision, MixedSupervision)
    return supervision


def _only(*terms: str) -> dict[str, float]:
    return {name: float(name in terms) for name in TERMS}


def _task(stores: Stores, run: Path, **settings) -> tuple[TrainTask, dict[str, Tensor]]:
    """A task on top of a pretraining, in training mode, and its first batch."""
    pretrained = load_checkpoint(run)
    config: Config = dataclasses.replace(
        pretrained.config, train=dataclasses.replace(pretrained.config.train, **settings)
    )
    inputs = read_inputs(
        Store(stores.features), Store(stores.voices), config, config.train, 0, faces=FacePairs(Store(stores.faces))
    )
    task = TrainTask(pretrained.model, config, 0)
    task.prepare(make_accelerator("cpu", "no"))
    task.model.train()
    task.auxiliary.train()
    return task, inputs.training[0]


# ---- what does not fit


def test_faces_of_another_size(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    other = make_stores(tmp_path, face_dim=FACE_DIM + 3)
    mixed = Stores(toy_stores.features, toy_stores.voices, other.faces)
    with pytest.raises(
        FaceVCError, match=rf"have {FACE_DIM + 3} numbers.*face_dim {FACE_DIM}.*--set model.face_dim={FACE_DIM + 3}"
    ):
        train(mixed, toy_run, tmp_path / "run")
    train(mixed, toy_run, tmp_path / "run", f"model.face_dim={FACE_DIM + 3}", stop_at=1)  # the advice works


def test_features_of_another_mel(starter_stores: Stores, toy_run: Path, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"log-mel is 'hifigan'.*works on 'fvmvc'"):
        train(starter_stores, toy_run, tmp_path / "run")


def test_another_model_than_the_pretraining(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    for overrides, stage in [(("model.decoder.channels=8",), {}), ((), {"preset": "starter"})]:
        free = "slots, temperature, face_dim, face_contrast, stream_encoder"
        with pytest.raises(FaceVCError, match=rf"pretrained with another model.*{free}, or pretrain again"):
            train(toy_stores, toy_run, tmp_path / "run", *overrides, **stage)


def test_no_pretraining(toy_stores: Stores, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"expected a checkpoint"):
        train(toy_stores, tmp_path, tmp_path / "run")


def test_strangers_faces(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    other = make_stores(tmp_path, utterances={"zoe/z": ("zoe", "train", 20)})
    mixed = Stores(toy_stores.features, toy_stores.voices, other.faces)
    with pytest.raises(FaceVCError, match=r"no utterance has a face.*--pairs"):
        train(mixed, toy_run, tmp_path / "run")
    table = tmp_path / "pairs.csv"
    table.write_text("speaker,person\nanna,zoe\n")
    with pytest.raises(FaceVCError, match=r"pairs.csv: expected the column face in .*; face is missing. Add it"):
        train(mixed, toy_run, tmp_path / "run", pairs=table)
    table.write_text("speaker,face\nanna,zoe\nbert,zoe\n")
    assert len(train(mixed, toy_run, tmp_path / "run", pairs=table, stop_at=2).losses) == 2


def test_settings_that_make_no_sense(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"every weight of the training loss is 0"):
        train(toy_stores, toy_run, tmp_path / "1", *(f"train.{term}=0" for term in TERMS))
    with pytest.raises(FaceVCError, match=r"init_memory 'zeros': expected one of random, kmeans"):
        train(toy_stores, toy_run, tmp_path / "2", "train.init_memory=zeros")


# ---- what each term moves


@pytest.mark.parametrize("preset", ["toy", "starter"])
def test_the_inter_speaker_term_alone_moves_faces_memory_and_decoder(preset: str, request: pytest.FixtureRequest):
    """The published code ran the student under no_grad: mixed supervision trained nothing."""
    stores, run = request.getfixturevalue(f"{preset}_stores"), request.getfixturevalue(f"{preset}_run")
    task, batch = _task(stores, run, **_only("inter_speaker"), freeze_decoder=False)
    before = copy_state(task.model)
    task.step(batch, 3)
    moved = find_changed(before, task.model)
    learnable = {n for n, _ in task.model.named_parameters() if n.startswith(("face_encoder.", "decoder.", "memory."))}
    assert {"memory.keys", "memory.values", "face_encoder.value.weight", "face_encoder.query.weight"} <= learnable
    # A key's bias shifts all energies alike only where queries are equal; all else must move.
    assert learnable - moved <= {"face_encoder.key.bias"}
    assert {k for k in moved if k.startswith(FROZEN)} == set()


REACH = {
    "reconstruction": {"face_encoder", "memory.keys", "memory.values", "decoder"},
    "inter_speaker": {"face_encoder", "memory.keys", "memory.values", "decoder"},
    "recall": {"memory.values"},
    "address": {"face_encoder", "memory.keys", "memory.values"},
    "voice_reconstruction": {"decoder"},
    "pitch_level": {"face_encoder", "memory.keys", "memory.values"},
}


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("freeze_decoder", [False, True])
def test_each_term_reaches_what_it_should(starter_stores: Stores, starter_run: Path, term: str, freeze_decoder: bool):
    expected = REACH[term] - ({"decoder"} if freeze_decoder else set())
    task, batch = _task(starter_stores, starter_run, **_only(term), freeze_decoder=freeze_decoder)
    value = task.auxiliary["supervision"](batch)[term]
    if not expected:
        assert not value.requires_grad
        return
    value.backward()
    reached = {n for n, p in task.model.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    assert {n if n.startswith("memory") else n.split(".")[0] for n in reached} == expected
    assert all(p.grad is None for p in _supervision(task).teacher.parameters())


def test_the_loss_is_the_weighted_sum(toy_stores: Stores, toy_run: Path):
    share = {"reconstruction": 0.5, "recall": 2.0, "address": 3.0, "inter_speaker": 0.2, "voice_reconstruction": 0.7}
    task, batch = _task(toy_stores, toy_run, **share)
    figures = task.step(batch, 3)
    assert figures["loss"].item() == pytest.approx(sum(w * figures[n].item() for n, w in share.items()), rel=1e-5)
    task, batch = _task(toy_stores, toy_run, **_only("recall"))
    assert set(task.step(batch, 3)) == {
        "loss",
        "recall",
        "address",
        "voice_entropy",
        "face_entropy",
    }  # nothing was decoded


def test_the_teacher_speaks_in_the_other_voice(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    """With either speaker encoder, the inter-speaker target depends on the other's voice and not on the
    speaker's own.
    """
    pretrain(toy_stores, tmp_path / "mel", "toy", "model.speaker_encoder=mel", stop_at=1)
    for run, other in [(toy_run, "other_dvector"), (tmp_path / "mel", "other_mel")]:
        task, batch = _task(toy_stores, run, **_only("inter_speaker"))
        task.auxiliary.eval()
        term = task.auxiliary["supervision"](batch)["inter_speaker"].item()
        changed = task.auxiliary["supervision"]({**batch, other: -batch[other]})["inter_speaker"].item()
        assert changed != term
        same = task.auxiliary["supervision"]({**batch, "dvector": -batch["dvector"]})["inter_speaker"].item()
        assert same == term


# ---- what stays


@pytest.mark.parametrize("preset", ["toy", "starter"])
@pytest.mark.parametrize("freeze_decoder", [False, True])
def test_frozen_parts_are_equal_after_a_hundred_steps(
    preset: str, freeze_decoder: bool, request: pytest.FixtureRequest, tmp_path: Path
):
    """Code book, counts and BatchNorm statistics included: in the published code they drift."""
    stores, run = request.getfixturevalue(f"{preset}_stores"), request.getfixturevalue(f"{preset}_run")
    every = (
        "train.steps=100",
        "train.checkpoint_every=100",
        "train.validate_every=50",
        "train.log_every=50",
        "train.batch_size=2",
    )
    settings = (
        "pitch_level=1",
        "init_memory=random",
        "reconstruction=1",
        "inter_speaker=0.2",
        f"freeze_decoder={str(freeze_decoder).lower()}",
    )
    train(stores, run, tmp_path, *every, *(f"train.{s}" for s in settings))
    before, last = weights(run / "checkpoints" / "best"), tmp_path / "checkpoints" / "last"
    after, teacher = weights(last), load_file(last / "training" / "auxiliary.safetensors")
    frozen = [k for k in before if k.startswith(FROZEN) or (freeze_decoder and k.startswith("decoder."))]
    assert len(frozen) > 10 and all(torch.equal(before[k], after[k]) for k in frozen)
    taught = {k: v for k, v in before.items() if k.startswith("decoder.")}
    assert {k.removeprefix("supervision.teacher.") for k in teacher} == set(taught)
    assert all(torch.equal(v, teacher[f"supervision.teacher.{k}"]) for k, v in taught.items())
    if preset == "toy":
        assert {"content_encoder.quantizer.embedding", "content_encoder.quantizer.counts"} <= set(frozen)
        assert any(k.endswith("running_mean") for k in taught)
    moved = {
        k for k in before if k in after and before[k].shape == after[k].shape and not torch.equal(before[k], after[k])
    }
    assert {"memory.keys", "memory.values", "face_encoder.value.weight"} <= moved
    assert any(k.startswith("decoder.") for k in moved) != freeze_decoder
    if preset == "toy" and not freeze_decoder:
        assert any(k.endswith("running_mean") for k in moved)  # the student's own statistics do follow


def test_frozen_means_eval_whatever_the_loop_says(toy_stores: Stores, toy_run: Path):
    task, _ = _task(toy_stores, toy_run)
    supervision = _supervision(task)
    for module in (task.model.content_encoder, task.model.speaker_encoder, supervision.teacher):
        assert not any(m.training for m in module.modules())
        assert not any(p.requires_grad for p in module.parameters())
    assert task.model.decoder.training


def test_pretrained_weights_are_where_it_starts(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    still = "train.optimiser={learning_rate: 1e-30, warmup_steps: 0, milestones: []}"
    train(toy_stores, toy_run, tmp_path, still, "train.freeze_decoder=true", stop_at=1)
    before, after = weights(toy_run / "checkpoints" / "best"), weights(tmp_path / "checkpoints" / "last")
    assert all(torch.equal(before[k], after[k]) for k in before if not k.startswith(("memory.", "face_encoder.")))


def test_the_starters_memory_is_that_of_its_last_step(starter_stores: Stores, starter_run: Path, tmp_path: Path):
    """Validation is looked at, but its least loss is that of a memory before its addresses have sharpened."""
    every = ("train.steps=4", "train.checkpoint_every=2", "train.validate_every=1")
    train(starter_stores, starter_run, tmp_path / "run", *every)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["last"]
    found = load_checkpoint(tmp_path / "run")
    assert found.step == 4 and math.isfinite(found.metrics["best_loss"]) and found.metrics["validation"]
    train(starter_stores, starter_run, tmp_path / "both", *every, "train.keep_best=true")
    assert sorted(p.name for p in (tmp_path / "both" / "checkpoints").iterdir()) == ["best", "last"]


def test_the_memory_can_start_at_the_training_voices(starter_stores: Stores, starter_run: Path, tmp_path: Path):
    still = "train.optimiser={learning_rate: 1e-30, warmup_steps: 0, milestones: []}"
    train(starter_stores, starter_run, tmp_path / "k", still, "train.init_memory=kmeans", stop_at=1)
    values = weights(tmp_path / "k" / "checkpoints" / "last")["memory.values"]
    with Store(starter_stores.voices) as voices:
        training = torch.from_numpy(voices.read_vectors("dvector")[:4])
    assert torch.cdist(training, values).min(1).values.max() < 0.2  # each of four voices has one of six slots
    pretrain(make_stores(tmp_path / "s"), tmp_path / "mel", "toy", "model.speaker_encoder=mel", stop_at=1)
    with pytest.raises(FaceVCError, match=r"kmeans needs a speaker encoder that takes d-vectors"):
        train(make_stores(tmp_path / "s2"), tmp_path / "mel", tmp_path / "run", "train.init_memory=kmeans")


def test_slots_and_temperature_may_differ_from_the_pretraining(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    train(toy_stores, toy_run, tmp_path, "model.slots=9", "model.temperature=0.1", stop_at=1)
    model = load_checkpoint(tmp_path).model
    assert model.memory.values.shape[0] == 9 and model.memory.temperature == 0.1


def test_faces_are_standardised_by_the_training_faces(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    train(toy_stores, toy_run, tmp_path, "train.standardise_faces=true", stop_at=2)
    model = load_checkpoint(tmp_path).model
    with Store(toy_stores.faces) as faces:
        training = torch.from_numpy(
            faces.read_vectors("embedding")[[i for i, s in enumerate(faces.speakers) if s != "vera"]]
        )
    assert torch.allclose(model.face_mean, training.mean(0), atol=1e-6)
    assert torch.allclose(model.face_std, training.std(0, unbiased=False), atol=1e-6)
    plain = load_checkpoint(toy_run).model
    assert torch.equal(plain.face_mean, torch.zeros(FACE_DIM)) and torch.equal(plain.face_std, torch.ones(FACE_DIM))
    plain.set_face_statistics(training[:1])  # one face has no spread to divide by
    assert torch.equal(plain.face_mean, training[0]) and torch.equal(plain.face_std, torch.ones(FACE_DIM))


def test_noise_on_faces_is_for_learning_alone(toy_stores: Stores, toy_run: Path):
    task, batch = _task(toy_stores, toy_run, **_only("address"), face_noise=0.5)
    supervision = task.auxiliary["supervision"]
    drawn = {supervision(batch)["address"].item() for _ in range(3)}
    task.auxiliary.eval()
    assert len(drawn) == 3 and len({task.validate(batch, 3)["address"].item() for _ in range(3)}) == 1


# ---- figures, and awkward corpora


def test_the_entropy_of_the_addresses_is_written(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    train(toy_stores, toy_run, tmp_path / "warm")
    rows = read_table(tmp_path / "warm" / "losses.csv")
    for column in ("face_entropy", "voice_entropy"):
        assert all(0.9 * math.log(6) < float(r[column]) <= math.log(6) + 1e-5 for r in rows if r[column])
        assert sum(bool(r[f"valid_{column}"]) for r in rows) == 2
    for column in ("reconstruction", "recall", "address", "inter_speaker", "data_wait"):
        assert all(math.isfinite(float(r[column])) for r in rows if r["loss"])
    train(toy_stores, toy_run, tmp_path / "sharp", "model.temperature=0.05", stop_at=1)
    sharp = read_table(tmp_path / "sharp" / "losses.csv")
    assert float(sharp[0]["face_entropy"]) < 0.9 * float(rows[0]["face_entropy"])


@pytest.mark.parametrize(
    "utterances",
    [{"a/1": ("a", "train", 30), "b/1": ("b", "train", 1)}, {"a/1": ("a", "train", 31), "a/2": ("a", "train", 17)}],
    ids=["two utterances", "one speaker"],
)
def test_small_corpora_train(tmp_path: Path, toy_run: Path, utterances: dict):
    stores = make_stores(tmp_path, utterances=utterances, unvoiced=("a/1",))
    losses = train(stores, toy_run, tmp_path / "run", "train.batch_size=5", "train.crop_frames=17", stop_at=2).losses
    assert len(losses) == 2 and all(map(math.isfinite, losses.values()))


def test_the_mel_speaker_encoder_trains(toy_stores: Stores, tmp_path: Path):
    pretrain(toy_stores, tmp_path / "mel", "toy", "model.speaker_encoder=mel", stop_at=1)
    assert len(train(toy_stores, tmp_path / "mel", tmp_path / "run", stop_at=2).losses) == 2


@pytest.mark.skipif(not computes_bf16_lstm(), reason="this CPU has no bfloat16 for recurrent layers")
def test_bf16(toy_stores: Stores, toy_run: Path, tmp_path: Path):
    half = train(toy_stores, toy_run, tmp_path / "half", precision="bf16", stop_at=2).losses
    full = train(toy_stores, toy_run, tmp_path / "full", stop_at=2).losses
    assert half != full and list(half.values()) == pytest.approx(list(full.values()), rel=0.05)


def test_the_settings_of_the_tests_are_those_of_the_preset():
    assert all(o.startswith(("pretrain.", "train.", "model.")) for o in TOY)
