"""families/xfavot: what a training refuses, learns, logs, draws and resumes; what each term moves."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.reporters import Recorder
from helpers.stores import have_same_weights

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.pitch import PitchStatistics
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.presets import load_config
from facevc_cli.families.run_training import make_accelerator
from facevc_cli.families.xfavot.config import Config
from facevc_cli.families.xfavot.training import StyleTraining
from facevc_cli.families.xfavot.translations import SIDES, Guide, gather_made
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import write_table
from facevc_cli.stages.train import TrainStageConfig, run
from facevc_cli.training.task import freeze_during

PX = 16
SMALL = (
    "model={image_px: 16, image_channels: 4, audio_channels: 4, most_channels: 6, style_dim: 5, latent_dim: 3}",
    "model.mapping_dim=8",
    "model.pitch_channels=4",
    "model.speakers=3",
    "train.steps=4",
    "train.batch_size=4",
    "train.crop_frames=80",
    "train.checkpoint_every=2",
    "train.log_every=1",
    "train.workers=0",
    "train.content=0",
    "train.samples_every=0",
    "train.pitch_from=-1",
    "train.source_from=-1",
    "train.optimiser.learning_rate=1e-3",
)
PEOPLE = (
    {"speaker": "anna", "face": "anna", "gender": "f"},
    {"speaker": "bert", "face": "bert", "gender": "m"},
    {"speaker": "carl", "face": "", "gender": "male"},
    {"speaker": "", "face": "dora/1", "gender": "Female"},
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two people with both, one of recordings, one of pictures; a validation speaker whom nobody names."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    frontend = Frontend.standard("xfavot")
    with StoreWriter(folder / "features.h5", "extract-features", frontend.as_settings()) as writer:
        for speaker, split in (("anna", "train"), ("bert", "train"), ("carl", "train"), ("vera", "valid")):
            for take, frames in enumerate((101, 60)):
                f0 = rng.uniform(90, 300, frames).astype(np.float32) * (rng.random(frames) > 0.3)
                item = {"mel": rng.normal(-3, 1, (frames, 80)).astype(np.float32), "f0": f0.astype(np.float32)}
                pitch = PitchStatistics.of(item["f0"])
                columns = {"split": split, "log_f0_mean": pitch.mean, "log_f0_std": pitch.std}
                writer.add(Item(f"{speaker}/{take}", speaker, item, columns=columns))
        writer.merge([], statistics={"mel_mean": np.full(80, -3, np.float32), "mel_std": np.ones(80, np.float32)})
    write_faces(folder / "faces.h5", PX, rng)
    write_table(folder / "people.csv", PEOPLE)
    return folder


def write_faces(path, px, rng):
    with StoreWriter(path, "extract-face", {"embedder": "none"}) as writer:
        for person in ("anna", "bert", "dora"):
            for take, frames in enumerate((1, 3)):
                crop = rng.integers(0, 256, (frames, px, px, 3), np.uint8)
                vector = rng.normal(size=4).astype(np.float32)
                writer.add(Item(f"{person}/{take}", person, {"crop": crop} if px else {}, {"embedding": vector}))
        writer.merge([])


def train(stores, output, *overrides, given=("features.h5", "faces.h5"), **changes):
    recorder = Recorder()
    settings = {"preset": "xfavot-64", "device": "cpu", "pairs": stores / "people.csv", **changes}
    paths = tuple(stores / name for name in given)
    summary = run(TrainStageConfig(stores=paths, output=output, overrides=(*SMALL, *overrides), **settings), recorder)
    return recorder, summary


def make_training(stores, *overrides, pairs="people.csv"):
    config = load_config("xfavot-64", None, (*SMALL, *overrides))
    features, faces = Store(stores / "features.h5"), Store(stores / "faces.h5")
    return StyleTraining(TrainingRequest(config=config, seed=0, features=features, faces=faces, pairs=stores / pairs))


# settings


def test_the_preset_equals_the_defaults():
    assert load_config("xfavot") == Config()
    small = load_config("xfavot-64")
    assert small.train.optimiser == Config().train.optimiser
    changed = {f.name for f in dataclasses.fields(small.model) if getattr(small.model, f.name) != f.default}
    assert changed == {
        *("image_px", "image_channels", "audio_channels", "most_channels"),
        *("mapping_dim", "shared_mapping", "pitch_channels"),
    }


# what is refused


def test_stores_and_options_that_do_not_fit(stores, tmp_path):
    for changes, kind, reason in (
        ({"given": ("features.h5",)}, UsageError, "trains on a store of log-mels, a store of faces with pictures"),
        ({"pairs": None}, UsageError, "--pairs TABLE.csv with the columns speaker, face and gender"),
        ({"sampling_weights": stores / "people.csv"}, UsageError, "Leave --sampling-weights out"),
        ({"content": tmp_path}, FaceVCError, "expected a checkpoint"),
    ):
        with pytest.raises(kind, match=reason):
            train(stores, tmp_path / "run", **changes)
    write_faces(tmp_path / "plain.h5", 0, np.random.default_rng(0))
    with pytest.raises(FaceVCError, match="expected pictures of the faces, found only their embeddings.*--store-crops"):
        train(stores, tmp_path / "run", given=("features.h5", tmp_path / "plain.h5"))
    for overrides, reason in (
        (("model.image_px=32",), r"pictures of at least 32 pixels, found the shape \(16, 16, 3\)"),
        (("train.crop_frames=40",), "crop_frames: expected a multiple of 4 from 80, found 40"),
        (("model.speakers=1",), "2 people have recordings and pictures.*model.speakers=2"),
        (("model.mel=hifigan",), "its log-mel is 'xfavot', but the preset 'xfavot-64' works on 'hifigan'"),
        (
            ("train.image_adversarial=0", "train.audio_adversarial=0", "train.image_cycle=0", "train.audio_cycle=0"),
            "no term asks",
        ),
    ):
        with pytest.raises(FaceVCError, match=reason):
            train(stores, tmp_path / f"run{len(reason)}", *overrides)


def test_tables_that_do_not_fit(stores, tmp_path):
    for rows, reason in (
        (({"speaker": "anna", "face": "", "gender": "?"},), "row 1: gender: expected male or female, found '\\?'"),
        (({"speaker": "vera", "face": "", "gender": "f"},), "row 1 names 'vera', of whom .*features.h5 has nothing"),
        (({"speaker": "", "face": "emil", "gender": "m"},), "row 1 names 'emil', of whom .*faces.h5"),
        (({"speaker": " ", "face": "", "gender": "m"},), "row 1 names neither"),
        ((*PEOPLE[:1], {"speaker": "anna", "face": "", "gender": "m"}), "row 2 gives 'anna' another gender"),
        (PEOPLE[2:3], "found none with pictures among 1"),
        (PEOPLE[3:], "found none with recordings among 1"),
    ):
        write_table(tmp_path / "people.csv", rows)
        with pytest.raises(FaceVCError, match=reason):
            train(stores, tmp_path / "run", pairs=tmp_path / "people.csv")


# batches


def test_a_batch_holds_what_each_person_can_serve(stores):
    batches = make_training(stores, "train.batch_size=200").training
    people = batches.people
    assert [p.speaker for p in people] == [0, 1, None, None] and [p.gender for p in people] == [1, 0, 0, 1]
    assert [len(p.utterances) for p in people] == [2, 2, 2, 0] and [len(p.pictures) for p in people] == [4, 4, 0, 3]
    batch = batches[3]
    again = batches[3]
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert batch["image"].shape == (200, 3, PX, PX) and -1 <= float(batch["image"].min()) < -0.9
    assert batch["audio"].shape == batch["second_audio"].shape == (200, 1, 80, 80)
    person, paired, guide = batch["person"], batch["paired"], batch["guide"]
    assert torch.equal(paired, person < 2) and set(person.tolist()) == {0, 1, 2, 3}
    assert torch.equal(batch["image_domain"][paired], batch["audio_domain"][paired])  # one style for both
    assert set(batch["audio_domain"][person == 0].tolist()) == {1, 2}  # a woman, or the first speaker
    assert set(batch["audio_domain"][person == 1].tolist()) == {0, 3}
    assert set(batch["audio_domain"][~paired].tolist()) == {0, 1}  # genders alone
    assert torch.equal(batch["image_target"], batch["image_gender"])
    assert int(batch["audio_source"].max()) == 3 and int(batch["image_source"].max()) == 1
    assert not (guide[~paired] == Guide.OTHER).any() and (guide[paired] == Guide.OTHER).any()
    assert 0.4 < float((guide == Guide.LATENT).float().mean()) < 0.6
    voiced = batch["lf0"] != 0
    assert torch.equal(batch["log_f0"] != 0, voiced) and float(batch["log_f0"][voiced].exp().min()) >= 90


def test_rows_of_one_speaker_are_one_person_with_all_their_pictures(stores):
    rows = [{"speaker": "anna", "face": face, "gender": "f"} for face in ("anna/0", "bert/1", "anna/0", "")]
    write_table(stores / "rows.csv", [*rows, {"speaker": "bert", "face": "", "gender": "m"}, *PEOPLE[3:] * 2])
    people = make_training(stores, pairs="rows.csv").training.people
    assert [(p.speaker, len(p.utterances), p.pictures) for p in people] == [
        (0, 2, ((0, 0), (3, 0), (3, 1), (3, 2))),
        (None, 2, ()),
        *[(None, 0, ((5, 0), (5, 1), (5, 2)))] * 2,
    ]


def test_pictures_are_read_as_they_are_and_larger_ones_made_smaller(stores):
    batches = make_training(stores).training
    with Store(stores / "faces.h5") as store:
        crop = torch.from_numpy(store.read_frames("crop", 1)[2]).float()
    found = batches.pictures.read(1, 2, False)
    assert torch.allclose((found + 1) * 127.5, crop.permute(2, 0, 1), atol=1e-3)
    assert torch.equal(batches.pictures.read(1, 2, True), found.flip(-1))
    batches.pictures.px = 8
    half = (batches.pictures.read(1, 2, False) + 1) * 127.5
    assert torch.allclose(half[0, 0, 0], crop[:2, :2, 0].mean(), atol=1e-3)


def test_without_domains_of_speakers_all_are_of_a_gender(stores):
    batch = make_training(stores, "model.speakers=0", "train.batch_size=50").training[0]
    assert int(max(batch["audio_domain"].max(), batch["audio_source"].max())) == 1 and batch["paired"].any()


# what the terms move


class Loudness(torch.nn.Module):
    """A listener without weights."""

    def forward(self, mel):
        return mel[:, 0].transpose(1, 2)


MOVED = {
    "image_adversarial": {"image.generator", "mapping"},
    "image_style": {"image.generator", "image.style", "mapping"},
    "image_diversity": {"image.generator", "mapping"},
    "image_cycle": {"image.generator", "image.style", "mapping"},
    "image_gender": {"image.style"},
    "audio_adversarial": {"audio.generator", "mapping"},
    "audio_style": {"audio.generator", "audio.style", "mapping"},
    "audio_diversity": {"audio.generator", "mapping"},
    "audio_cycle": {"audio.generator", "audio.style", "mapping"},
    "audio_gender": {"audio.style"},
    "audio_content": {"audio.generator", "mapping"},
    "audio_pitch": {"audio.generator", "mapping"},
    "audio_level": {"audio.generator", "mapping"},
    "audio_source": {"audio.generator", "mapping"},
    "match": {"image.style", "audio.style"},
}
JUDGES = {
    "image_judge": {"image_judge"},
    "image_smoothness": {"image_judge"},
    "audio_judge": {"audio_judge"},
    "audio_smoothness": {"audio_judge"},
    "source_reader": {"source_reader"},
    "pitch_reader": {"pitch_reader"},
}


@pytest.fixture
def prepared(stores):
    training = make_training(stores, "train.batch_size=8", "train.level_tolerance=0", "train.smoothness_every=1")
    torch.manual_seed(0)
    task = training.make_task(False)
    task.listener, task.t = Loudness(), dataclasses.replace(task.t, content=1.0)
    task.prepare(make_accelerator("cpu", "no"))
    return task, training.training[0]


def find_moved(task):
    """The parts with gradients other than 0, which are then cleared."""
    judges = {name: task.auxiliary[name] for name in task.auxiliary if name != "translations"}
    sides = {side: getattr(task.model, side) for side in SIDES}
    parts = {f"{side}.{name}": part for side, both in sides.items() for name, part in both.named_children()}
    parts |= {"mapping": task.model.mapping, **judges}
    moved = {n for n, part in parts.items() if any(p.grad is not None and p.grad.any() for p in part.parameters())}
    for part in parts.values():
        part.zero_grad()
    return moved


@pytest.mark.parametrize("guide", list(Guide))
def test_each_term_alone_moves_what_it_should(prepared, guide):
    task, batch = prepared
    batch = batch | {"guide": torch.full_like(batch["guide"], int(guide))}
    out = task.auxiliary["translations"](batch)
    made = {side: gather_made(batch, out, side) for side in SIDES}
    with freeze_during(task._list_judges()):
        terms = task.compute_terms(batch, out, made, 1)
        assert terms.keys() == MOVED.keys() and all(weight > 0 for weight, _ in terms.values())
        for name, (_, value) in terms.items():
            value.backward(retain_graph=True)
            side, wanted = name.partition("_")[0], set(MOVED[name])
            if guide is not Guide.LATENT and "mapping" in wanted:  # the style comes from an encoder instead
                wanted = wanted - {"mapping"} | {f"{side if guide is Guide.OWN else SIDES[side]}.style"}
            assert find_moved(task) == wanted, name
    for name, (_, value) in task.compute_judge_terms(batch, made, 0).items():
        value.backward(retain_graph=True)
        assert find_moved(task) == JUDGES[name], name


def test_a_term_of_weight_zero_is_left_out(stores):
    off = [f"train.{name}=0" for name in ("style", "diversity", "match", "pitch", "level", "source", "smoothness")]
    training = make_training(stores, *off, "train.audio_adversarial=0", "train.audio_cycle=0")
    task = training.make_task(False)
    task.prepare(make_accelerator("cpu", "no"))
    wanted = {"loss", "image_adversarial", "image_cycle", "image_gender", "audio_gender", "image_judge"}
    assert task.step(training.training[0], 0).keys() == wanted


def test_diversity_weighs_less_with_each_step_and_smoothness_is_rare(prepared):
    task, batch = prepared
    task.t = dataclasses.replace(task.t, smoothness_every=2)
    out = task.auxiliary["translations"](batch)
    made = {side: gather_made(batch, out, side) for side in SIDES}
    assert [task.compute_terms(batch, out, made, s)["image_diversity"][0] for s in (0, 1, 3)] == [1.0, 0.75, 0.25]
    assert "image_diversity" not in task.compute_terms(batch, out, made, 4)
    assert task.compute_judge_terms(batch, made, 2)["image_smoothness"][0] == 2
    assert "image_smoothness" not in task.compute_judge_terms(batch, made, 3)


def test_which_optimiser_moves_what(prepared):
    from torch.optim import Adam, AdamW

    task, batch = prepared
    kinds = {name: type(getattr(o, "optimizer", o)) for name, o in task.optimisers.items()}
    assert kinds == {"images": Adam, "audio": AdamW, "image_judges": Adam, "audio_judges": AdamW}
    before = {n: p.detach().clone() for n, p in task.model.named_parameters()}
    figures = task.step(batch, 0)
    assert all(torch.isfinite(value) for value in figures.values())
    rates = [group["lr"] for group in task.optimisers["images"].param_groups]
    assert rates == pytest.approx([1e-3, 1e-6])
    still = {n for n, p in task.model.named_parameters() if torch.equal(p, before[n])}
    assert all(n.startswith("mapping.") for n in still)  # nobody of those domains was drawn
    assert float(task.validate(batch, 1)["loss"]) > 0


# runs


def test_a_resumed_run_equals_an_uninterrupted_one(stores, tmp_path):
    train(stores, tmp_path / "whole")
    train(stores, tmp_path / "parts", "train.samples_every=2", stop_at=2)
    train(stores, tmp_path / "parts")  # how often samples are drawn is free
    one, other = (tmp_path / name / "checkpoints" / "last" for name in ("whole", "parts"))
    assert have_same_weights(one, other)
    for name in ("auxiliary", "own_weights", "optimiser_images", "optimiser_audio", "optimiser_audio_judges"):
        states = [(folder / "training" / f"{name}.safetensors").read_bytes() for folder in (one, other)]
        assert states[0] == states[1], name
    rows = [(tmp_path / name / "losses.csv").read_text().splitlines() for name in ("whole", "parts")]
    figures = [[line.split(",") for line in one] for one in rows]
    timed = {figures[0][0].index(name) for name in ("steps_per_s", "data_wait")}
    kept = [[[v for i, v in enumerate(line) if i not in timed] for line in one] for one in figures]
    assert kept[0] == kept[1] and len(kept[0]) == 5
    assert {*MOVED, *JUDGES} - {"audio_content"} <= set(figures[0][0])
    assert sorted(p.name for p in (tmp_path / "parts" / "samples").iterdir()) == ["step-000002"]
    sheets = tmp_path / "parts" / "samples" / "step-000002"
    assert load_image(sheets / "faces.png").shape == (4 * PX, 5 * PX, 3)
    assert load_image(sheets / "log-mels.png").shape == (4 * 80, 5 * 80, 3)
    assert {p.name for p in sheets.glob("*.wav")} == {
        f"{row}-{name}.wav" for row in (1, 2) for name in ("source", "reference", "noise", "face", "voice")
    }


def test_the_result_is_a_model_that_converts(stores, tmp_path):
    _, summary = train(stores, tmp_path / "run", "model.shared_mapping=false", stop_at=2)
    assert summary.next_command.startswith("facevc convert SOURCE.wav --face FACE.jpg")
    loaded = load_checkpoint(tmp_path / "run")
    model = loaded.model
    assert loaded.frontend == Frontend.standard("xfavot")
    assert loaded.embedders == {"face": {"embedder": "none"}, "voice": loaded.frontend.as_settings()}
    assert len(model.mapping.branches) == 5 and float(model.mel_mean[0]) == -3
    mel, log_f0 = torch.randn(1, 80, 83), torch.randn(1, 83)
    with torch.no_grad():
        content, voice = model.hear_content(mel), model.embed_voice(torch.randn(1, 80, 30))
        out = model.decode(content, log_f0, voice)
        assert content.shape == (1, 21, 30) and voice.shape == (1, 5) and out.shape == (1, 83, 80)
        whole = model.audio.generator(mel[:, None, :, :80], voice, log_f0[:, :80])
        parts = model.decode(model.hear_content(mel[..., :80]), log_f0[:, :80], voice)
        assert torch.allclose(parts, whole[:, 0].transpose(1, 2), atol=1e-6)
        pictures = torch.randint(0, 256, (2, 2 * PX, 2 * PX, 3), dtype=torch.uint8)
        halved = pictures.float().reshape(2, PX, 2, PX, 2, 3).mean((2, 4)).permute(0, 3, 1, 2) / 127.5 - 1
        assert torch.allclose(model.embed_pictures(pictures), model.image.style(halved), atol=1e-5)
    assert torch.equal(model.recall_face(voice)[0], voice)  # a face's style is its voice
    with pytest.raises(FaceVCError, match="reads the pictures of faces itself. It expected styles of 5 numbers"):
        model.recall_face(torch.zeros(1, 4))


def test_a_face_or_a_recording_guides_a_conversion(stores, tmp_path, monkeypatch):
    from facevc_cli.conversion.converter import Converter
    from facevc_cli.faces.analyser import FaceObservation

    train(stores, tmp_path / "run", stop_at=1)
    folder = tmp_path / "run" / "checkpoints" / "last"
    header = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(header.replace("embedder: none", f"embedder: fused\n    crop_px: {PX}"))

    class Analyser:
        def analyse(self, image):
            box = np.array([0, 0, len(image), len(image)], np.float32)
            return FaceObservation(box, 1.0, 1, np.zeros(162, np.float32), image, 0)

    monkeypatch.setattr("facevc_cli.faces.analyser.make_analyser", lambda settings, on_many: Analyser())
    converter = Converter(tmp_path / "run", "griffin-lim", "cpu")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 40, 3), np.uint8)
    embedding = converter.embed_face(image)
    assert embedding.shape == (5,)
    target = converter.target_from_face(image)
    assert np.allclose(target.speaker.numpy()[0], embedding) and target.address is None
    other = converter.target_from_face(255 - image)
    assert not np.allclose(other.speaker, target.speaker)
    wav = (0.1 * np.sin(np.arange(12000) / 24000 * 2 * np.pi * 150)).astype(np.float32)
    spoken, rate = converter.convert((wav, 24000), voice=(wav[:6000], 24000))
    assert rate == 24000 and spoken.shape == wav.shape and np.isfinite(spoken).all()
    assert not np.allclose(converter.convert((wav, 24000), face=image)[0], spoken)


def test_a_checkpoint_hears_the_content(stores, tmp_path):
    checkpoint(tmp_path / "heard", "starter")
    overrides = ("train.content=10", "train.batch_size=2")
    train(stores, tmp_path / "run", *overrides, content=tmp_path / "heard", stop_at=1)
    header, row = ((tmp_path / "run" / "losses.csv").read_text().splitlines())[:2]
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert 0 < float(found["audio_content"]) < 2
    assert not any("listener" in name for name in load_checkpoint(tmp_path / "run").model.state_dict())


def test_bfloat16(stores, tmp_path):
    recorder, _ = train(stores, tmp_path / "run", stop_at=1, precision="bf16")
    assert all(np.isfinite(loss) for loss in recorder.losses.values()) and recorder.losses
