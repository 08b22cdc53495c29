"""Pretraining: which term moves what, what switched-off terms cost, corpora of awkward sizes, and stores that do not
fit.
"""

import math
from pathlib import Path

import pytest
import torch
from helpers.pretraining import copy_state, find_changed, make_task
from helpers.stores import TEACHER_DIM, Stores, make_stores, pretrain, weights
from torch import Tensor

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.presets import load_config
from facevc_cli.files.tables import write_table
from facevc_cli.training.config import OptimiserConfig, RunConfig
from facevc_cli.training.task import compute_learning_rate, ramp_up

pytestmark = pytest.mark.usefixtures("no_plots")
OFF = tuple(f"pretrain.{term}=0" for term in ("cpc", "vq", "mi_content_voice", "mi_content_pitch", "mi_pitch_voice"))


def _moved(before: dict[str, Tensor], module: torch.nn.Module) -> set[str]:
    """First components of the names of the tensors that changed."""
    return {name.split(".")[0] for name in find_changed(before, module)}


def _estimators(task: PretrainTask) -> set[str]:
    return {name for name, _ in task.auxiliary["estimators"].named_children()}


def _reach(
    task: PretrainTask, batch: dict[str, Tensor], hear_student: bool = False, adversarial: float = 1.0
) -> dict[str, set[str]]:
    """term -> the parts that its gradient reaches."""
    reconstruction = task.auxiliary["reconstruction"]
    terms = task._compute_terms(batch, reconstruction(batch, hear_student), 3, adversarial)
    named = [(n.removeprefix("model.").split(".")[0], p) for n, p in reconstruction.named_parameters()]
    reach = {}
    for term, (_, value) in terms.items():
        grads = torch.autograd.grad(value, [p for _, p in named], retain_graph=True, allow_unused=True)
        reach[term] = {n for (n, _), g in zip(named, grads, strict=True) if g is not None and bool(g.abs().sum() > 0)}
    return reach


# ---- what does not fit


def test_unknown_presets_and_settings(toy_stores: Stores, tmp_path: Path):
    for overrides, message in [
        (("pretrain.step=3",), "no setting 'step'. Did you mean 'steps'"),
        (("pretrian.steps=3",), "no setting 'pretrian'. Did you mean 'pretrain'"),
        (("pretrain.steps=many",), "steps: expected int, found 'many'"),
        (("pretrain=3",), "pretrain: expected a group of settings"),
        (("pretrain.steps",), "expected KEY.PATH=VALUE"),
    ]:
        with pytest.raises(FaceVCError, match=message):
            pretrain(toy_stores, tmp_path, "toy", *overrides)
    with pytest.raises(FaceVCError, match=r"--preset 'papers': expected one of cmpc, cmpc-resnet, fvmvc, starter"):
        load_config("papers")
    with pytest.raises(FaceVCError, match=r"nowhere.yaml: cannot be read"):
        pretrain(toy_stores, tmp_path, config_file=tmp_path / "nowhere.yaml")
    assert not list(tmp_path.iterdir())


def test_the_mel_of_another_preset(starter_stores: Stores, toy_stores: Stores, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"log-mel is 'hifigan'.*preset 'toy' works on 'fvmvc'.*--mel fvmvc"):
        pretrain(starter_stores, tmp_path / "1")
    with pytest.raises(FaceVCError, match=r"log-mel is 'fvmvc'.*--mel hifigan"):
        pretrain(toy_stores, tmp_path / "2", "starter")


def test_no_teacher_or_another(starter_stores: Stores, tmp_path: Path):
    plain = make_stores(tmp_path / "plain", "hifigan")
    with pytest.raises(FaceVCError, match=r"no teacher's content.*--teacher FOLDER.*--set pretrain.distillation=0"):
        pretrain(plain, tmp_path / "run", "starter")
    with pytest.raises(
        FaceVCError, match=rf"teacher's content have {TEACHER_DIM} numbers.*teacher_dim 7.*--set model.content_encoder"
    ):
        pretrain(starter_stores, tmp_path / "run", "starter", "model.content_encoder.teacher_dim=7")


def test_stores_that_do_not_fit(toy_stores: Stores, tmp_path: Path):
    other = make_stores(tmp_path / "other", utterances={"zoe/z": ("zoe", "train", 20)})
    with pytest.raises(FaceVCError, match=r"share no utterance"):
        pretrain(Stores(toy_stores.features, other.voices, other.faces), tmp_path / "run")
    with pytest.raises(FaceVCError, match=r"made by extract-features, found one made by extract-spkemb"):
        pretrain(Stores(toy_stores.voices, toy_stores.voices, toy_stores.faces), tmp_path / "run")
    with pytest.raises(FaceVCError, match=r"d-vectors have 16 numbers.*model.dvector_dim 256"):
        pretrain(toy_stores, tmp_path / "run", "toy", "model.dvector_dim=256")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(toy_stores.features.read_bytes()[:-4000])
    with pytest.raises(FaceVCError, match=r"truncated or of another kind.*run the extracting command again"):
        pretrain(Stores(cut, toy_stores.voices, toy_stores.faces), tmp_path / "run")
    with pytest.raises(FaceVCError, match=r"no such store"):
        pretrain(Stores(tmp_path / "none.h5", toy_stores.voices, toy_stores.faces), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- what each term moves


def test_the_papers_terms_reach_what_they_should(toy_stores: Stores):
    # Six utterances: of three, CLUB's random permutation is the identity in one draw of six, and the term then zero.
    assert _reach(*make_task(toy_stores, "toy", "pretrain.batch_size=6")) == {
        "reconstruction": {"content_encoder", "speaker_encoder", "decoder"},
        "vq": {"content_encoder"},
        "cpc": {"content_encoder", "cpc"},
        "mi_content_voice": {"content_encoder", "speaker_encoder"},
        "mi_content_pitch": {"content_encoder"},
        "mi_pitch_voice": {"speaker_encoder"},
    }


def test_the_starters_terms_reach_what_they_should(starter_stores: Stores):
    task, batch = make_task(starter_stores, "starter")
    expected = {
        "reconstruction": {"bottleneck", "decoder"},
        "distillation": {"content_encoder"},
        "pitch_level": {"pitch_level"},
        "adversarial": {"bottleneck", "decoder"},
        "feature_matching": {"bottleneck", "decoder"},
    }
    assert _reach(task, batch) == expected
    student = {k: {"content_encoder" if p == "bottleneck" else p for p in parts} for k, parts in expected.items()}
    assert _reach(task, batch, hear_student=True) == student


@pytest.mark.parametrize("preset", ["toy", "starter"])
def test_a_step_moves_all_but_the_face_side(preset: str, request: pytest.FixtureRequest):
    task, batch = make_task(request.getfixturevalue(f"{preset}_stores"), preset)
    before, helpers = copy_state(task.model), copy_state(task.auxiliary)
    for step in range(2, 5):
        task.step(batch, step)
    moved = _moved(before, task.model)
    parts = {
        "toy": {"content_encoder", "speaker_encoder", "decoder"},
        "starter": {"content_encoder", "decoder", "pitch_level"},
    }
    beside = {"toy": {"reconstruction", "estimators"}, "starter": {"reconstruction", "discriminator"}}
    assert moved == parts[preset] and _moved(helpers, task.auxiliary) == beside[preset]
    if preset == "toy":
        after = task.model.state_dict()
        for name in ("content_encoder.quantizer.embedding", "content_encoder.quantizer.counts"):
            assert not torch.equal(after[name], before[name])


def test_the_models_step_leaves_the_judges_alone(toy_stores: Stores, starter_stores: Stores):
    """Estimators and discriminator learn in their own steps only."""
    task, batch = make_task(toy_stores, "toy", "pretrain.mi_steps=0")
    before = copy_state(task.auxiliary["estimators"])
    task.step(batch, 3)
    assert not _moved(before, task.auxiliary["estimators"])
    task, batch = make_task(starter_stores, "starter")
    before = copy_state(task.auxiliary["discriminator"])
    task._train_discriminator = lambda real, fake: real.sum() * 0  # type: ignore[method-assign]
    task.step(batch, 3)
    assert not _moved(before, task.auxiliary["discriminator"])
    assert all(p.requires_grad for p in task.auxiliary["discriminator"].parameters())


def test_validation_moves_nothing(toy_stores: Stores):
    task, batch = make_task(toy_stores, "toy")
    task.auxiliary.eval()
    before = copy_state(task.auxiliary)
    figures = task.validate(batch, 3)
    assert not _moved(before, task.auxiliary) and figures["loss"] == figures["reconstruction"]


# ---- what is switched off


def test_a_weight_of_zero_costs_no_modules(toy_stores: Stores, starter_stores: Stores):
    task, batch = make_task(toy_stores, "toy", *OFF)
    assert list(task.optimisers) == ["model"] and not _estimators(task)
    assert {n.split(".")[0] for n, _ in task.auxiliary["reconstruction"].named_parameters()} == {"model"}
    assert set(task.step(batch, 3)) == {"loss", "reconstruction"}
    off = ("pretrain.adversarial=0", "pretrain.feature_matching=0", "pretrain.distillation=0", "pretrain.pitch_level=0")
    task, batch = make_task(starter_stores, "starter", *off)
    assert list(task.optimisers) == ["model"] and set(task.auxiliary) == {"reconstruction", "estimators"}
    assert {n.split(".")[0] for n, _ in task.auxiliary["reconstruction"].named_parameters()} == {"model"}
    assert "content" not in batch and set(task.step(batch, 3)) == {"loss", "reconstruction"}


@pytest.mark.parametrize("term", [o.removeprefix("pretrain.").removesuffix("=0") for o in OFF])
def test_each_term_can_be_switched_off(toy_stores: Stores, term: str):
    task, batch = make_task(toy_stores, "toy", f"pretrain.{term}=0")
    figures = task.step(batch, 3)
    assert term not in figures and math.isfinite(figures["loss"])
    assert {o.removeprefix("pretrain.").removesuffix("=0") for o in OFF} - {term} < set(figures)
    assert _estimators(task) == {"content_voice", "content_pitch", "pitch_voice"} - {term.removeprefix("mi_")}


def test_the_discriminator_waits_for_its_share_of_the_run(starter_stores: Stores):
    task, batch = make_task(starter_stores, "starter", "pretrain.steps=10", "pretrain.adversarial_from=0.4")
    before = copy_state(task.auxiliary["discriminator"])
    assert "adversarial" not in task.step(batch, 4) and not _moved(before, task.auxiliary["discriminator"])
    assert {"adversarial", "feature_matching", "discriminator"} <= set(task.step(batch, 5))
    assert _moved(before, task.auxiliary["discriminator"])
    config = RunConfig(steps=100)
    assert [ramp_up(s, config, 0.4) for s in (0, 40, 45, 50, 100)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_the_decoder_hears_the_student_late(starter_stores: Stores):
    task, _ = make_task(starter_stores, "starter", "pretrain.steps=20", "pretrain.distilled_from=0.5")
    assert [s for s in range(20) if task._hears_student(s)] == [10, 11, 13, 14, 15, 17, 18, 19]


def test_learning_rates():
    paper = OptimiserConfig(learning_rate=1e-3, warmup_steps=10, schedule="milestones", milestones=(0.6, 0.8, 1.0))
    rates = [compute_learning_rate(paper, s, 100) for s in (0, 5, 10, 59, 60, 80, 99)]
    assert rates == pytest.approx([1e-6, 5.005e-4, 1e-3, 1e-3, 5e-4, 2.5e-4, 2.5e-4])
    cosine = OptimiserConfig(learning_rate=1e-3, warmup_steps=10, schedule="cosine")
    rates = [compute_learning_rate(cosine, s, 100) for s in range(101)]
    assert (
        max(rates) == pytest.approx(1e-3, rel=0.05)
        and rates[-1] == pytest.approx(2e-5)
        and rates[0] == pytest.approx(1e-4)
    )


# ---- awkward corpora


@pytest.mark.parametrize("speaker_encoder", ["dvector", "mel", "identity"])
def test_every_speaker_encoder_trains(toy_stores: Stores, tmp_path: Path, speaker_encoder: str):
    losses = pretrain(toy_stores, tmp_path, "toy", f"model.speaker_encoder={speaker_encoder}", stop_at=2).losses
    assert len(losses) == 2 and all(map(math.isfinite, losses.values()))


@pytest.mark.parametrize(
    "utterances",
    [
        {"a/1": ("a", "train", 30), "b/1": ("b", "train", 25)},
        {"a/1": ("a", "train", 31), "a/2": ("a", "train", 17)},
        {"a/1": ("a", "train", 1)},
        {"a/1": ("a", "train", 1), "b/1": ("b", "train", 3), "v/1": ("v", "valid", 1)},
    ],
    ids=["two utterances", "one speaker", "one frame", "very short"],
)
@pytest.mark.parametrize("preset", ["toy", "starter"])
def test_small_corpora_train(tmp_path: Path, preset: str, utterances: dict):
    stores = make_stores(tmp_path, {"toy": "fvmvc", "starter": "hifigan"}[preset], utterances, teacher_dim=TEACHER_DIM)
    losses = pretrain(
        stores, tmp_path / "run", preset, "pretrain.batch_size=5", "pretrain.crop_frames=17", stop_at=2
    ).losses
    assert len(losses) == 2 and all(map(math.isfinite, losses.values()))


@pytest.mark.parametrize("preset", ["toy", "starter"])
def test_unvoiced_utterances_give_no_nan(tmp_path: Path, preset: str):
    utterances = {"a/1": ("a", "train", 30), "b/1": ("b", "train", 25), "v/1": ("v", "valid", 20)}
    mel = {"toy": "fvmvc", "starter": "hifigan"}[preset]
    stores = make_stores(tmp_path, mel, utterances, teacher_dim=TEACHER_DIM, unvoiced=tuple(utterances))
    pretrain(stores, tmp_path / "run", preset)
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "run" / "checkpoints" / "last").values())


def test_without_a_validation_split(tmp_path: Path):
    stores = make_stores(tmp_path, utterances={"a/1": ("a", "train", 30), "b/1": ("b", "train", 25)})
    pretrain(stores, tmp_path / "run", stop_at=2)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["last"]
    assert "Infinity" not in (tmp_path / "run" / "checkpoints" / "last" / "metrics.json").read_text()
    assert pretrain(stores, tmp_path / "run", stop_at=3).notes == ["resumed at step 2"]


def test_it_learns(toy_stores: Stores, tmp_path: Path):
    """Thirty steps on four utterances of noise bring the loss down by a tenth at least: all is wired to the
    optimiser.
    """
    fast = (
        "pretrain.steps=30",
        "pretrain.validate_every=30",
        "pretrain.checkpoint_every=30",
        "pretrain.optimiser.learning_rate=0.01",
    )
    losses = list(pretrain(toy_stores, tmp_path, "toy", *OFF, *fast).losses.values())
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_bf16_with_distillation_and_discriminator(starter_stores: Stores, tmp_path: Path):
    losses = pretrain(starter_stores, tmp_path, "starter", precision="bf16", stop_at=4).losses
    assert all(map(math.isfinite, losses.values()))
    assert {v.dtype for v in weights(tmp_path / "checkpoints" / "last").values()} == {torch.float32}


@pytest.mark.parametrize(
    ("preset", "term"), [("toy", "aligned_voice"), ("starter", "aligned_voice"), ("starter", "aligned_content")]
)
def test_an_aligned_term_alone_moves_what_it_should(tmp_path, preset, term):
    """Speech asked for in another voice moves content and decoder; equal content moves the content alone."""
    utterances = {f"{who}/{text}": (who, "train", 60) for who in "ab" for text in "12"}
    mel, teacher = ("hifigan", TEACHER_DIM) if preset == "starter" else ("fvmvc", None)
    stores = make_stores(tmp_path / "s", mel, utterances, teacher_dim=teacher)
    write_table(tmp_path / "aligned.csv", [{"utterance": name, "text_id": name[-1]} for name in utterances])
    task, batch = make_task(stores, preset, f"pretrain.{term}=2", aligned=tmp_path / "aligned.csv")
    assert batch["aligned"].all()
    out = task.auxiliary["reconstruction"](batch, True)
    assert {"aligned", "aligned_z"} & set(out) == {
        "aligned" if term == "aligned_voice" else "aligned_z"
    }  # no more work
    weight, value = task._compute_terms(batch, out, 0, 0.0)[term]
    assert weight == 2 and value > 0
    value.backward()
    moved = {name.partition(".")[0] for name, p in task.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert ("decoder" in moved) is (term == "aligned_voice") and "content_encoder" in moved
    assert not {"memory", "face_encoder"} & moved
    without = task._compute_terms({**batch, "aligned": torch.zeros(len(batch["aligned"]))}, out, 0, 0.0)
    assert term not in without  # nobody has a partner


def test_aligned_terms_want_a_table(toy_stores, tmp_path):
    with pytest.raises(FaceVCError, match="--aligned TABLE"):
        pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.aligned_voice=1")


RECORDED = ("model.decoder.recording_tokens=3", "pretrain.cross_content=1", "pretrain.adversarial=0")


def test_the_decoder_learns_from_a_recording_of_the_voice(starter_stores):
    task, batch = make_task(starter_stores, "starter", *RECORDED, "pretrain.drop_recording=0")
    assert batch["reference_mel"].shape == batch["mel"].shape
    reconstruction = task.auxiliary["reconstruction"]
    out = reconstruction(batch, True)
    described = task.model.describe_recording(batch["reference_mel"].transpose(1, 2))
    level = (batch["level"][:, 0], batch["level"][:, 1])
    expected = task.model.decode(out["z"], batch["lf0"], batch["dvector"], level, described)
    torch.testing.assert_close(out["after"], expected)
    rolled = (level[0].roll(1, 0), level[1])
    crossed = task.model.decode(out["z"], batch["lf0"], batch["dvector"].roll(1, 0), rolled, described.roll(1, 0))
    torch.testing.assert_close(out["crossed"], crossed)
    assert torch.autograd.grad(out["after"].sum(), task.model.decoder.recording.asked)[0].abs().sum() > 0
    assert all(math.isfinite(value) for value in task.step(batch, 3).values())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_some_crops_get_no_recording(starter_stores, share):
    task, batch = make_task(starter_stores, "starter", *RECORDED, f"pretrain.drop_recording={share}")
    alone = torch.ones(len(batch["mel"]), dtype=torch.bool)
    assert task._leave_recordings_out(batch | {"alone": alone}, 0)["left_out"].all()
    batch["alone"] = ~alone
    given = [task._leave_recordings_out(batch, step) for step in range(20)]
    found = torch.stack([step["left_out"] for step in given]).float().mean()
    assert abs(float(found) - share) < 0.2
    if share == 1:
        described = task.auxiliary["reconstruction"]._describe_recordings(batch["reference_mel"], given[0]["left_out"])
        assert torch.equal(described, task.model.describe_no_recording().expand_as(described))
