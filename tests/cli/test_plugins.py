"""An embedder, a vocoder and a metric of other packages, each one file and one entry point, through the commands
themselves.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.checkpoints import FACE, checkpoint
from helpers.commands import call
from helpers.pictures import draw_face, save_grey
from helpers.plugins import install
from helpers.sounds import recording
from helpers.stores import TOY, Stores

from facevc_cli.corpus.store import Store
from facevc_cli.evaluation import listening
from facevc_cli.faces.analyser import FaceAnalyser, level_crop, make_analyser, make_settings
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import write_table
from facevc_cli.vocoders.load import load_vocoder

VOCODER = """
import torch
from facevc_cli.vocoders import Vocoder

class Steps(Vocoder):
    '''Each frame's mean log-mel, held for a hop.'''
    def __init__(self, mel):
        super().__init__("steps", mel, context_frames=0)
    def synthesise(self, log_mel, start_frame):
        return log_mel.mean(1).repeat_interleave(self.hop_samples)

def steps(mel, device):
    return Steps(mel)

def other_mel(mel, device):
    return Steps("hifigan" if mel == "fvmvc" else "fvmvc")

def nothing(mel, device):
    return None

def gone(mel, device):
    raise OSError("weights are gone")
"""
EMBEDDER = """
import numpy as np

class Patches:
    '''Twelve mean colours of a level face.'''
    weights = "{weights}"
    def embed(self, crop):
        return crop.reshape(2, 75, 2, 75, 3).mean((1, 3)).ravel() / 255

class Boxes:
    def crop(self, image, box):
        return image[int(box[1]):int(box[3]), int(box[0]):int(box[2])]
    def embed(self, crop):
        return np.array([crop.shape[0], crop.shape[1]])

class Broken:
    def embed(self, crop):
        raise RuntimeError("no such thing")

class Endless:
    def embed(self, crop):
        return [np.nan]
"""
METRIC = """
import numpy as np
from facevc_cli.files.audio import load_audio
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import Metric, Scale

def loudness(conversions, evidence):
    return Terms.of([(float(np.sqrt(np.mean(load_audio(c.converted)[0] ** 2))), c) for c in conversions])

loudness.better = "lower"
loudness.definition = "Root mean square of the samples."
level = Metric(
    name="level", better="lower", definition="As an object.", measure=loudness, scale=Scale(unit="dB", digits=1)
)

def broken(conversions, evidence):
    return 1 / 0

broken.better = "higher"

def endless(conversions, evidence):
    return Terms.of([(float("nan"), c) for c in conversions])

endless.better = ""

def shy(conversions, evidence):
    return Terms.of([])
"""


pytestmark = pytest.mark.usefixtures("no_plots")


def said(found) -> str:
    """What the command told, without the terminal's line breaks."""
    return " ".join(found.stderr.split())


# ---- vocoders


@pytest.fixture
def vocoder(tmp_path, monkeypatch):
    names = {"steps": "steps", "other-mel": "other_mel", "nothing": "nothing", "gone": "gone", "auto": "nothing"}
    install(tmp_path / "site", monkeypatch, "steps_vocoder", VOCODER, "facevc.vocoders", names)


@pytest.fixture
def conversion(analyser, tmp_path):
    """Arguments of a conversion of half a second by a model of random weights."""
    save_grey(tmp_path / "f.png", 90)
    return [
        "convert",
        recording(tmp_path / "s.wav", 0.5),
        "--face",
        tmp_path / "f.png",
        "-o",
        tmp_path / "out",
        "--checkpoint",
        checkpoint(tmp_path / "run"),
        "-d",
        "cpu",
    ]


def test_convert_with_a_vocoder_of_another_package(vocoder, conversion, tmp_path):
    found = call(*conversion, "--vocoder", "steps")
    assert found.exit_code == 0 and "vocoder steps" in found.stderr, found.stderr
    wav, _ = soundfile.read(tmp_path / "out" / "s__f.wav")
    assert len(wav) and np.abs(wav).max() > 0
    assert "0 done, 1 skipped" in call(*conversion, "--vocoder", "steps").stderr


def test_its_version_is_part_of_what_is_done(vocoder, conversion, tmp_path):
    """Another release may sound otherwise, so what the first made is not taken for what the second would."""
    assert call(*conversion, "--vocoder", "steps").exit_code == 0
    (tmp_path / "site/steps_vocoder-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: steps_vocoder\nVersion: 1.1\n"
    )
    found = call(*conversion, "--vocoder", "steps")
    assert found.exit_code == 1 and "--overwrite" in found.stderr


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "stpes",
            2,
            "--vocoder stpes: no vocoder of this name is installed. There are: auto, {own}gone, nothing, other-mel, "
            "steps, or the path",
        ),
        ("nowhere/steps", 1, "nothing is there"),
        ("gone", 1, "--vocoder gone: it is installed but does not load (OSError: weights are gone)"),
        ("nothing", 1, "found NoneType"),
        ("other-mel", 1, "for log-mels of the definition 'fvmvc', found one for 'hifigan'"),
    ],
)
def test_what_is_wrong_with_a_vocoder_is_said(vocoder, conversion, name, code, words):
    from facevc_cli.vocoders.load import VOCODERS

    found = call(*conversion, "--vocoder", name)
    assert (found.exit_code, words.format(own="".join(f"{n}, " for n in VOCODERS.own[1:])) in said(found)) == (
        code,
        True,
    ), found.stderr


def test_a_name_of_our_own_is_not_taken_over(vocoder):
    assert load_vocoder("auto", "fvmvc").name == "griffin-lim"


def test_a_vocoder_gives_samples_for_every_frame(vocoder):
    made = load_vocoder("steps", "hifigan")
    assert made(torch.tensor([[1.0] * 80, [-2.0] * 80])).tolist() == [1.0] * 256 + [-2.0] * 256
    assert not made.training


# ---- face embedders


def with_patches(folder: Path, patch: pytest.MonkeyPatch, weights: str = "") -> None:
    names = {"patches": "Patches", "boxes": "Boxes", "broken": "Broken", "endless": "Endless"}
    install(
        folder, patch, "patches_embedder", EMBEDDER.replace("{weights}", weights), "facevc.face_embedders", names, "2.0"
    )


def test_from_faces_to_speech_with_an_embedder_of_another_package(tmp_path, monkeypatch, toy_stores: Stores, toy_run):
    """extract-face, train, convert: the embedder is named once, and the model finds it again."""
    with_patches(tmp_path / "site", monkeypatch)
    for i, person in enumerate(("anna", "bert", "cleo", "vera")):
        save_image(tmp_path / f"faces/{person}/1.png", draw_face(i))
    found = call(
        "extract-face",
        tmp_path / "faces",
        "-o",
        tmp_path / "faces.h5",
        "--embedder",
        "patches",
        "--save-crops",
        tmp_path / "crops",
        "-j",
        1,
    )
    assert found.exit_code == 0, found.stderr
    with Store(tmp_path / "faces.h5", "extract-face") as store:
        assert store.settings["embedder"] == "patches" and store.settings["weights"] == "patches_embedder-2.0"
        embeddings = store.read_vectors("embedding")
    image = draw_face(0)
    crop = level_crop(image, FaceAnalyser().detect(image)[0].box)
    assert embeddings.shape == (4, 12)
    assert embeddings[0, :3] == pytest.approx(
        crop[:75, :75].mean((0, 1)) / 255, abs=1e-5
    )  # the upper left quarter's red, green, blue
    assert len(list((tmp_path / "crops").rglob("*.png"))) == 4

    small = [part for setting in TOY if setting.startswith("train.") for part in ("--set", setting)]
    stores = ["--faces", tmp_path / "faces.h5", "--voices", toy_stores.voices]
    found = call("train", toy_stores.features, *stores, "--init", toy_run, "-o", tmp_path / "run", "-d", "cpu", *small)
    assert found.exit_code == 0, found.stderr
    arguments = [
        "convert",
        recording(tmp_path / "s.wav", 0.3),
        "-o",
        tmp_path / "out",
        "--checkpoint",
        tmp_path / "run",
        "--vocoder",
        "griffin-lim",
    ]
    arguments += ["--face", tmp_path / "faces/anna/1.png"]
    assert call(*arguments).exit_code == 0 and list((tmp_path / "out").glob("*.wav"))

    # without the package, or with another network under the same name, the model says what it misses
    monkeypatch.undo()
    found = call(*arguments, "--overwrite")
    assert (
        found.exit_code == 1
        and "embedded by 'patches' (patches_embedder-2.0), which no installed package brings" in said(found)
    ), found.stderr
    with_patches(tmp_path / "other", monkeypatch, "patches, second training")
    found = call(*arguments, "--overwrite")
    assert found.exit_code == 1 and "installed are 'patches, second training'" in said(found), found.stderr


def test_an_embedder_may_cut_out_what_it_wants(tmp_path, monkeypatch):
    with_patches(tmp_path, monkeypatch)
    found = FaceAnalyser(embedder="boxes").analyse(draw_face(1))
    left, top, right, bottom = (int(v) for v in found.box)
    assert found.embedding.tolist() == [bottom - top, right - left] and found.crop.shape[:2] == (
        bottom - top,
        right - left,
    )
    assert make_analyser({**FACE, "embedder": "boxes", "weights": "patches_embedder-2.0"}).on_many == "largest"
    assert make_settings("dlib", "boxes", "skip") == {
        "detector": "dlib",
        "embedder": "boxes",
        "weights": "patches_embedder-2.0",
        "on_many": "skip",
    }


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "patchse",
            2,
            "--embedder patchse: no face embedder of this name is installed. There are: dlib, fused, facenet, boxes, "
            "broken, endless, patches.",
        ),
        ("broken", 1, "the face embedder broken failed on this face (RuntimeError: no such thing)"),
        ("endless", 1, "expected one embedding (D,) of finite numbers, found the shape (1,) with NaN or infinity"),
    ],
)
def test_what_is_wrong_with_an_embedder_is_said(tmp_path, monkeypatch, name, code, words):
    with_patches(tmp_path / "site", monkeypatch)
    save_image(tmp_path / "faces/a.png", draw_face(1))
    found = call("extract-face", tmp_path / "faces", "-o", tmp_path / "faces.h5", "--embedder", name, "-j", 1)
    assert (found.exit_code, words in said(found)) == (code, True), found.stderr


# ---- metrics


class Bands:
    def embed(self, wav: np.ndarray) -> np.ndarray:
        return np.abs(np.fft.rfft(wav, 1024))[:256].astype(np.float32)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Arguments of an evaluation of two systems, of which one is loud and one soft, with a metric package installed."""
    names = {
        "loudness": "loudness",
        "level": "level",
        "broken": "broken",
        "endless": "endless",
        "shy": "shy",
        "SHO": "loudness",
    }
    install(tmp_path / "site", monkeypatch, "loud_metric", METRIC, "facevc.metrics", names)
    monkeypatch.setattr(listening, "load_speaker_judge", lambda name: Bands())
    rng, rows = np.random.default_rng(0), []
    for system, level in (("loud", 0.2), ("soft", 0.1)):
        for target in ("anna", "bert", "carl"):
            wav = np.sign(rng.normal(size=4000)) * level  # so that its root mean square is its level
            soundfile.write(tmp_path / f"{system}-{target}.wav", wav, 16000, subtype="FLOAT")
            rows.append(
                {
                    "system": system,
                    "converted": f"{system}-{target}.wav",
                    "target": target,
                    "source_id": "s",
                    "gender": "f",
                    "source_gender": "m",
                }
            )
    write_table(tmp_path / "manifest.csv", rows)
    quick = ["--recogniser", "none", "--no-naturalness", "--no-independent-judges"]
    return ["evaluate", tmp_path / "manifest.csv", "-o", tmp_path / "out", *quick]


def test_evaluate_with_a_metric_of_another_package(table, tmp_path):
    found = call(*table, "--metric", "loudness", "--json")
    assert found.exit_code == 0, found.stderr
    data = json.loads(found.stdout)
    assert data == json.loads((tmp_path / "out/metrics.json").read_text()) | {
        k: data[k] for k in ("done", "skipped", "failures", "output")
    }
    assert data["systems"]["loud"]["loudness"]["value"] == pytest.approx(0.2, abs=1e-4)
    assert data["systems"]["soft"]["loudness"] == pytest.approx(
        {"value": 0.1, "n": 3, "low": 0.1, "high": 0.1}, abs=1e-4
    )
    assert (
        data["slices"]["loud"]["M>F"]["loudness"]["n"] == 3
        and data["better"]["loudness"] == "lower"
        and data["better"]["SDO"] == "lower"
    )
    assert data["differences"]["loud - soft"]["loudness"]["value"] == pytest.approx(0.1, abs=1e-4)
    assert "loudness" in found.stderr and "lower" in found.stderr  # the terminal's table
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").open()))
    assert {(r["system"], r["slice"]) for r in rows if r["metric"] == "loudness"} == {
        (s, p) for s in ("loud", "soft") for p in ("all", "M>F")
    }
    page = (tmp_path / "out/report.html").read_text()
    assert "loudness<small>↓ lower is better</small>" in page and "Root mean square of the samples." in page
    assert "+0.100 worse" in " ".join(page.split())  # the loud system, for lower is better


def test_a_metric_object_of_another_package_is_shown_by_its_own_scale(table, tmp_path):
    found = call(*table, "--metric", "level", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["systems"]["loud"]["level"]["value"] == pytest.approx(0.2, abs=1e-4)
    assert (
        "0.2\N{NO-BREAK SPACE}dB" in (tmp_path / "out/report.html").read_text()
        and "As an object." in (tmp_path / "out/report.html").read_text()
    )


def test_it_is_left_alone_unless_asked_for(table):
    assert "loudness" not in json.loads(call(*table, "--json").stdout)["better"]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "loudnes",
            2,
            "--metric loudnes: no further metric of this name is installed. There are: SHO, broken, endless, level, "
            "loudness, shy.",
        ),
        ("SHO", 2, "this metric is always measured"),
        ("shy", 1, "found function with None"),
        ("broken", 1, "the metric broken failed (ZeroDivisionError: division by zero)"),
        ("endless", 1, "found NaN or infinite values"),
    ],
)
def test_what_is_wrong_with_a_metric_is_said(table, tmp_path, name, code, words):
    found = call(*table, "--metric", name)
    assert (found.exit_code, words in said(found)) == (code, True), found.stderr
    if name == "broken":  # the other figures are written all the same
        assert (
            "SDO" in (tmp_path / "out/metrics.csv").read_text()
            and "division by zero" in (tmp_path / "out/report.html").read_text()
        )
