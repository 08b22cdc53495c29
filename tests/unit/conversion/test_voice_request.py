"""Whose voice and how high: people of several pictures, mixes, sweeps, pitch, and the keys of what is made so."""

import math

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.conversions import config, table
from helpers.pictures import save_grey
from helpers.reporters import Notes
from helpers.sounds import recording

from facevc_cli.batch.jobs import Naming, collect_jobs, make_job_keys
from facevc_cli.batch.plan import plan_conversions
from facevc_cli.conversion.card import save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_request import VoiceOptions, is_mix_word, parse_mix, take_mix_words
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule, PitchStatistics, match_range
from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.files.image import load_image, save_image
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import MANIFEST
from facevc_cli.stages import benchmark
from facevc_cli.stages.convert import run

pytestmark = pytest.mark.usefixtures("analyser")


@pytest.fixture
def inputs(tmp_path):
    recording(tmp_path / "s.wav", 0.3)
    for name, value in {"anna/1": 90, "anna/2": 91, "bob": 160, "eve": 40}.items():
        save_grey(tmp_path / f"{name}.png", value)
    return tmp_path


@pytest.fixture
def go(inputs, model):
    def convert(reporter=None, **changes):
        names = ("persons", "mixes", "sweep", "pitch", "guidance")
        voice_options = VoiceOptions(**{name: changes.pop(name) for name in names if name in changes})
        beside = {name: changes.pop(name) for name in ("baselines", "degrade") if name in changes}
        given = {"sources": (inputs / "s.wav",), "faces": (), "watermark": False, **changes}
        conversions = config(inputs, model, voice_options=voice_options, **given)
        if beside:
            return benchmark.run(benchmark.BenchmarkConfig(conversions=conversions, **beside), reporter or Notes())
        return run(conversions, reporter or Notes())

    return convert


# what cannot be


@pytest.mark.parametrize(
    "text", ["", "a.jpg", "a.jpg=", "a.jpg=1", "a=0 b=0", "a=.5 b=.5 c", "a=-1 b=2", "a=nan b=1", "a=.5 =.5"]
)
def test_mixes_that_cannot_be_read(text):
    with pytest.raises(UsageError, match="--mix"):
        parse_mix(text)


@pytest.mark.parametrize("guidance", [-0.1, 4.1, math.nan])
def test_guidance_that_cannot_be(inputs, go, guidance):
    with pytest.raises(UsageError, match="--guidance .*expected a number from 0"):
        go(guidance=guidance, faces=(inputs / "bob.png",))


def test_guidance_is_asked_for_and_makes_other_files(inputs, go):
    face = inputs / "bob.png"
    assert go(faces=(face,)).done == 1
    own = load_audio(inputs / "out" / "s__bob.wav")[0]
    assert go(faces=(face,)).done == 0
    with pytest.raises(FaceVCError, match="made with other settings"):
        go(faces=(face,), guidance=3.0)
    assert go(faces=(face,), guidance=3.0, overwrite=True).done == 1
    far = load_audio(inputs / "out" / "s__bob.wav")[0]
    assert go(faces=(face,), guidance=0.0, overwrite=True).done == 1
    none = load_audio(inputs / "out" / "s__bob.wav")[0]
    assert not np.array_equal(far, none) and np.abs(far - none).max() >= np.abs(own - none).max()


@pytest.mark.parametrize("text", ["", "high", "180", "25", "-25", "20hz", "900hz", "+", "1e9hz", "nan", "inf", "hz"])
def test_pitches_that_cannot_be(text):
    with pytest.raises(UsageError, match="--pitch"):
        PitchRule.parse(text)


def test_controls_that_cannot_be(inputs, go):
    bob, eve = inputs / "bob.png", inputs / "eve.png"
    two = f"{bob}=.5 {eve}=.5"
    for changes, kind, reason in (
        ({}, UsageError, "--face"),
        ({"faces": (bob,), "sweep": 3}, UsageError, "--sweep"),
        ({"mixes": (two,), "sweep": 1}, UsageError, "2 to 101"),
        ({"mixes": (two,), "sweep": 102}, UsageError, "2 to 101"),
        ({"mixes": (f"{two} {eve}=1",), "sweep": 3}, UsageError, "mix of two, found 3"),
        ({"mixes": (two, two)}, FaceVCError, "both be called"),
        ({"mixes": (f"{bob}=.5 nowhere.png=.5",)}, FaceVCError, "nowhere.png: no such"),
        ({"mixes": (two, two), "sources": (inputs / "s.wav", "c.png=.5")}, UsageError, "any of 2 mixes. Quote"),
        ({"persons": ("nowhere",)}, FaceVCError, "no such"),
        ({"persons": (" , ",)}, UsageError, "--person"),
        ({"persons": (str(inputs / "anna"),) * 2}, FaceVCError, "both be called 'anna'"),
        ({"persons": (f"{bob},card.safetensors",)}, FaceVCError, "voice card"),
        ({"faces": (bob,), "sources": ()}, UsageError, "needs a source"),
        ({"faces": (bob,), "pitch": "high"}, UsageError, "--pitch"),
        ({"mixes": (two,), "baselines": ("mean-face",)}, UsageError, "a mix is nobody.*--face"),
    ):
        with pytest.raises(kind, match=reason):
            go(**changes)
    assert not (inputs / "out").exists()


def test_a_person_without_a_usable_face_fails_and_the_rest_goes_on(inputs, go):
    save_image(inputs / "dark" / "a.png", np.zeros((40, 40, 3), np.uint8))
    save_image(inputs / "dark" / "b.png", np.zeros((40, 40, 3), np.uint8))
    summary = go(
        persons=(str(inputs / "dark"), str(inputs / "anna")), mixes=(f"{inputs / 'dark'}=1 {inputs / 'bob.png'}=1",)
    )
    assert summary.done == 1 and [item for item, _ in summary.failures] == ["s__dark.wav", "s__dark=0.50+bob=0.50.wav"]
    assert "person dark (2 pictures): none of them can be used" in summary.failures[0][1]


def test_a_model_without_an_absolute_pitch_says_so(inputs, go, tmp_path):
    toy = checkpoint(tmp_path / "toy")
    with pytest.raises(FaceVCError, match=r"--pitch keep: the model 'toy'.*Leave --pitch out"):
        go(faces=(inputs / "bob.png",), checkpoint=toy, pitch="keep")
    assert not (inputs / "out").exists()
    assert go(faces=(inputs / "bob.png",), checkpoint=toy).done == 1


# what it means


def test_a_mix_is_read_as_written():
    assert parse_mix("a.jpg=.6 b.jpg=.4") == [("a.jpg", 0.6), ("b.jpg", 0.4)]
    assert parse_mix("my photo.jpg=3, x=1/b.jpg=1.0") == [("my photo.jpg", 3.0), ("x=1/b.jpg", 1.0)]


def test_words_of_an_unquoted_mix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert take_mix_words(["b.jpg=.4", "s.wav", "c.jpg=1"], ["a.jpg=.6"]) == (["s.wav"], ["a.jpg=.6 b.jpg=.4 c.jpg=1"])
    assert take_mix_words(["b.jpg=.4", "s.wav"], []) == (["b.jpg=.4", "s.wav"], [])
    assert take_mix_words(["b.jpg=.4"], ["a=1", "c=1"]) == (["b.jpg=.4"], ["a=1", "c=1"])
    (tmp_path / "take=1").mkdir()
    assert not is_mix_word("take=1") and is_mix_word("take=2") and not is_mix_word("take=2.wav")


def test_pitch_rules_by_hand():
    # the median of the voiced is -.5
    source, lf0 = PitchStatistics(math.log(100), 0.2), np.array([0.0, 1.5, -0.5, -1.0, 0.0], np.float32)
    voice = PitchStatistics(math.log(200), 0.3)
    spoken = {
        text: PitchRule.parse(text).choose_statistics(voice, source, lf0)
        for text in ("auto", "keep", "+12", "-12", "-2.5 st", "180Hz", "0")
    }
    means = {text: math.exp(pitch.mean) for text, pitch in spoken.items()}
    assert means == pytest.approx(
        {
            "auto": 200,
            "keep": 100,
            "+12": 400,
            "-12": 100,
            "-2.5 st": 200 * 2 ** (-2.5 / 12),
            "180Hz": 180 * math.exp(0.3 * 0.5),
            "0": 200,
        }
    )
    assert {text: pitch.std for text, pitch in spoken.items()} == {
        text: 0.2 if text == "keep" else 0.3 for text in spoken
    }
    contour = np.exp(spoken["180Hz"].mean + spoken["180Hz"].std * lf0[lf0 != 0])
    assert np.median(contour) == pytest.approx(180)
    assert PitchRule.parse("180hz").choose_statistics(voice, source, np.zeros(4)).mean == pytest.approx(
        math.log(180)
    )  # unvoiced throughout
    assert PitchRule.parse("+0") == AUTO_PITCH and [str(PitchRule.parse(text)) for text in ("3", "KEEP", "180 hz")] == [
        "+3",
        "keep",
        "180hz",
    ]


def test_a_voices_own_range():
    assert match_range(0.2, 0.3, 1.0) == pytest.approx(0.3) and match_range(0.2, 0.3, 0.0) == 0.2
    assert match_range(0.2, 0.3, 0.5) == pytest.approx(math.sqrt(0.2 * 0.3))
    assert match_range(0.2, 5.0, 1.0) == pytest.approx(0.4) and match_range(0.2, 0.0, 1.0) == pytest.approx(
        0.1
    )  # no F0 track is right by so much
    assert match_range(0.0, 0.3, 1.0) == 0.0  # a monotone stays one


def test_the_decoder_is_told_the_pitch(model, monkeypatch):
    converter = Converter(model, "griffin-lim", "cpu")
    told, decode = [], converter.model.decode
    monkeypatch.setattr(
        converter.model,
        "decode",
        lambda z, lf0, speaker, level: told.append(float(level[0][0])) or decode(z, lf0, speaker, level),
    )
    rate = converter.rate
    wav = 0.1 * np.sin(2 * np.pi * 150 * np.arange(rate) / rate).astype(np.float32)
    source, target = converter.analyse((wav, rate)), Target(torch.ones(1, 256) / 16, math.log(220))
    for text in ("auto", "keep", "-12", "90hz"):
        converter.speak(source, converter.apply_pitch_rule(target, PitchRule.parse(text)))
    assert np.exp(told[::2]) == pytest.approx([220, 150, 110, 90], rel=0.02)
    assert told[::2] == told[1::2]  # the source's voice, for guidance, at the same pitch


def test_several_pictures_are_one_person(inputs, go, model, analyser):
    recording(inputs / "t.wav", 0.2)
    save_image(inputs / "anna" / "dark.png", np.zeros((40, 40, 3), np.uint8))
    notes = Notes()
    assert go(notes, sources=(inputs / "s.wav", inputs / "t.wav"), persons=(str(inputs / "anna"),)).done == 2
    assert analyser.asked == 3  # each picture once, not once a source
    assert [
        note
        for note in notes.notes
        if "person anna (3 pictures): 1 of them cannot be used" in note and "dark.png" in note
    ]
    row = table(inputs / "out")["s__anna.wav"]
    assert (row["target"], row["face_id"], row["driver"]) == ("anna", "anna", "") and row["face"].endswith("1.png")
    one, two = inputs / "anna" / "1.png", inputs / "anna" / "2.png"
    assert go(output=inputs / "list", persons=(f"{one}, {two}",), name="{target}.wav").done == 1
    converter = Converter(model, "griffin-lim", "cpu")
    mean = np.mean([analyser.analyse(load_image(path)).embedding for path in (one, two)], axis=0)
    expected = converter.speak(converter.analyse(inputs / "s.wav"), converter.target_from_embedding(mean))
    for made in (inputs / "out" / "s__anna.wav", inputs / "list" / "1.wav"):
        np.testing.assert_allclose(load_audio(made)[0], expected, atol=1e-3)


def test_one_picture_is_a_face(inputs):
    assert VoiceSpec.from_pictures("bob", [inputs / "bob.png"]) == VoiceSpec.from_file("face", inputs / "bob.png")


def test_a_mix_is_over_addresses(inputs, tmp_path, analyser):
    model = checkpoint(tmp_path / "model", "starter", embedder="dlib")  # reads no register, which would move the voice
    bob, eve = inputs / "bob.png", inputs / "eve.png"
    mixed_as = VoiceOptions(mixes=(f"{bob}=3 {eve}=1",))
    given = {"sources": (inputs / "s.wav",), "faces": (), "watermark": False, "voice_options": mixed_as}
    assert run(config(inputs, model, **given), Notes()).done == 1
    row = table(inputs / "out")["s__bob=0.75+eve=0.25.wav"]
    assert row["target"] == "bob=0.75+eve=0.25" and row["face"] == row["voice"] == row["driver"] == ""
    converter = Converter(model, "griffin-lim", "cpu")
    converter.checkpoint.embedders["face"] |= {
        "embedder": "dlib"
    }  # no register is read in these, which would move the voice
    targets = [converter.target_from_face(path) for path in (bob, eve)]
    mixed = converter.target_from_mix(targets, [0.75, 0.25])
    torch.testing.assert_close(mixed.address, 0.75 * targets[0].address + 0.25 * targets[1].address)
    values = converter.model.memory.values.detach()
    recalled = torch.nn.functional.normalize(mixed.address @ values, dim=-1)
    centre, contrast = values.mean(0), converter.model.config.face_contrast
    away = recalled if contrast == 1 else torch.nn.functional.normalize(centre + contrast * (recalled - centre), dim=-1)
    torch.testing.assert_close(mixed.speaker, away)
    embeddings = torch.stack([torch.from_numpy(converter.embed_face(path)) for path in (bob, eve)])
    torch.testing.assert_close(mixed.speaker, converter.model.mix_faces(embeddings, torch.tensor([0.75, 0.25]))[0])
    torch.testing.assert_close(converter.target_from_mix(targets[:1], [1.0]).speaker, targets[0].speaker)
    expected = converter.speak(converter.analyse(inputs / "s.wav"), mixed)
    np.testing.assert_allclose(load_audio(inputs / "out" / "s__bob=0.75+eve=0.25.wav")[0], expected, atol=1e-3)
    with pytest.raises(FaceVCError, match="at least one target"):
        converter.target_from_mix([], [])


def test_a_recording_is_mixed_by_what_the_memory_knows_of_it(model):
    converter = Converter(model, "griffin-lim", "cpu")
    slot = converter.model.memory.values[2].detach()[None]
    sharp = converter.target_from_mix([Target(slot, math.log(100))], [1.0], temperature=0.001)
    assert sharp.address[0, 2] > 0.99 and sharp.log_f0_mean is None
    _, address = converter.model.recall_voice(slot)
    torch.testing.assert_close(converter.target_from_mix([Target(slot)], [2.0]).address, address)


def test_a_sweep_goes_from_the_first_to_the_second(inputs, go):
    bob, eve = inputs / "bob.png", inputs / "eve.png"
    assert go(mixes=(f"{bob}=.6 {eve}=.4",), sweep=3, faces=(bob, eve)).done == 5
    made = {
        name: load_audio(inputs / "out" / f"s__{name}.wav")[0]
        for name in ("bob", "eve", "bob=1.00+eve=0.00", "bob=0.50+eve=0.50", "bob=0.00+eve=1.00")
    }
    np.testing.assert_allclose(made["bob=1.00+eve=0.00"], made["bob"], atol=5e-5)
    np.testing.assert_allclose(made["bob=0.00+eve=1.00"], made["eve"], atol=5e-5)
    assert all(np.abs(made["bob=0.50+eve=0.50"] - made[name]).max() > 1e-4 for name in ("bob", "eve"))


def test_parts_of_one_name_are_told_apart_by_their_folder(inputs, go):
    save_grey(inputs / "zoe" / "1.png", 70)
    go(
        mixes=(
            f"{inputs / 'anna' / '1.png'}=1 {inputs / 'zoe' / '1.png'}=1",
            f"{inputs / 'anna'}=1 {inputs / 'bob.png'}=1",
        )
    )
    assert set(table(inputs / "out")) == {"s__anna-1=0.50+zoe-1=0.50.wav", "s__anna=0.50+bob=0.50.wav"}


def test_pairs_name_people_and_mixes(inputs, go):
    mix = f"{inputs / 'bob.png'}=1 {inputs / 'eve.png'}=1"
    write_table(inputs / "pairs.csv", [{"source": "s", "face": "anna"}, {"source": "s", "face": "bob=0.50+eve=0.50"}])
    assert (
        go(persons=(str(inputs / "anna"),), mixes=(mix,), faces=(inputs / "bob.png",), pairs=inputs / "pairs.csv").done
        == 2
    )
    assert set(table(inputs / "out")) == {"s__anna.wav", "s__bob=0.50+eve=0.50.wav"}


def test_baselines_and_degraded_pictures_of_people_and_mixes(inputs, go, analyser):
    mix, notes = f"{inputs / 'bob.png'}=1 {inputs / 'eve.png'}=1", Notes()
    beside = dict(baselines=("shuffled-faces", "mean-face"), degrade=("dark=.5",))
    asked = dict(
        faces=(inputs / "eve.png", inputs / "bob.png"), persons=(str(inputs / "anna"),), mixes=(mix,), **beside
    )
    assert go(notes, **asked).done == 4 + 1 + 4
    assert analyser.asked == 8  # four pictures, once as they are and once degraded
    rows = read_table(inputs / "out" / MANIFEST)
    assert {
        row["baseline"]: sorted(r["target"] for r in rows if r["baseline"] == row["baseline"])
        for row in rows
        if row["baseline"]
    } == {name: ["anna", "bob", "eve"] for name in ("shuffled-faces", "mean-face")}
    assert all(row["converted"] != f"s__{row['target']}.wav" for row in rows if row["baseline"] == "shuffled-faces")
    degraded = {row["target"]: row for row in rows if row["degradation"] == "dark=0.5"}
    assert set(degraded) == {"anna", "bob", "eve", "bob=0.50+eve=0.50"}
    for target, row in degraded.items():
        clean = table(inputs / "out")[f"s__{target}.wav"]
        assert row["converted"] == f"degraded/dark=0.5/s__{target}.wav" and row["key"] != clean["key"]
        made = [load_audio(inputs / "out" / one["converted"])[0] for one in (row, clean)]
        assert not np.array_equal(*made)
    assert go(**asked).skipped == 9


def test_the_mean_face_over_people(inputs, go, model, analyser):
    go(faces=(inputs / "bob.png",), persons=(str(inputs / "anna"),), baselines=("mean-face",))
    bob, one, two = (
        analyser.analyse(load_image(inputs / f"{name}.png")).embedding for name in ("bob", "anna/1", "anna/2")
    )
    converter = Converter(model, "griffin-lim", "cpu")
    target = converter.target_from_embedding((bob + (one + two) / 2) / 2)
    expected = converter.speak(converter.analyse(inputs / "s.wav"), target)
    np.testing.assert_allclose(
        load_audio(inputs / "out" / "baselines" / "mean-face" / "s__mean-face.wav")[0], expected, atol=1e-3
    )


def test_cards_stand_in_for_each_other(inputs, go, model):
    converter = Converter(model, "griffin-lim", "cpu")
    for name in ("bob", "eve"):
        save_card(
            inputs / "cards" / f"{name}.safetensors",
            converter.make_card(converter.target_from_face(inputs / f"{name}.png"), []),
        )
    assert go(faces=(inputs / "cards",), baselines=("shuffled-faces",)).done == 2
    rows = read_table(inputs / "out" / MANIFEST)
    assert {row["target"]: row["converted"] for row in rows if row["baseline"]} == {
        "bob": "s__eve.wav",
        "eve": "s__bob.wav",
    }


# keys and loudness


def keys_of(folder, *, faces=(), voices=(), settings=(), **voice_options):
    naming, asked = Naming(folder / "out"), VoiceOptions(**voice_options)
    jobs = collect_jobs(plan_conversions([folder / "s.wav"], faces, voices, naming, voice_options=asked), naming)
    return list(make_job_keys(jobs, folder / "model", None, None, "largest", *asked.settings).values())


@pytest.fixture
def fixed(tmp_path):
    """Files of known contents; keys depend on nothing else."""
    (tmp_path / "model").mkdir()
    weights = {"model/model.safetensors": b"weights", "model/config.yaml": b"config"}
    for name, content in {
        **weights,
        "s.wav": b"speech",
        "f.png": b"face",
        "v.wav": b"voice",
        "g.png": b"other",
    }.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_default_keys_stay_what_they_were(fixed):
    """As version 0.1.0 has them: a release that changes one makes everybody's folders anew."""
    assert keys_of(fixed, faces=[fixed / "f.png"], voices=[fixed / "v.wav"]) == ["fb6cdff428eecead", "58f7ac3a2be09264"]


def test_pitch_people_and_mixes_count_in_the_key(fixed):
    face, other = fixed / "f.png", fixed / "g.png"
    keys = [key for pitch in ("auto", "keep", "+3", "180hz") for key in keys_of(fixed, faces=[face], pitch=pitch)]
    keys += (
        keys_of(fixed, persons=(f"{face},{other}",))
        + keys_of(fixed, mixes=(f"{face}=1 {other}=1",))
        + keys_of(fixed, mixes=(f"{face}=2 {other}=1",))
    )
    assert len(set(keys)) == len(keys) == 7
    assert keys_of(fixed, faces=[face], pitch="3") == keys_of(fixed, faces=[face], pitch="+3.0")
    assert keys_of(fixed, mixes=(f"{face}=.2 {other}=.2",)) == keys_of(fixed, mixes=(f"{other}=1 {face}=1",))


def test_another_pitch_is_another_file(inputs, go):
    bob = inputs / "bob.png"
    assert go(faces=(bob,)).done == 1 and go(faces=(bob,), pitch="auto").skipped == 1
    with pytest.raises(FaceVCError, match="is there already"):
        go(faces=(bob,), pitch="+3")
    assert go(faces=(bob,), pitch="+3", overwrite=True).done == 1 and go(faces=(bob,), pitch="3").skipped == 1


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_as_loud_as_the_source(inputs, go, level):
    wav, rate = load_audio(recording(inputs / "s.wav", 1.0))
    save_audio(inputs / "s.wav", wav * level / 0.3, rate)
    go(faces=(inputs / "bob.png",))
    source, made = (
        load_audio(path)[0].astype(np.float64) for path in (inputs / "s.wav", inputs / "out" / "s__bob.wav")
    )
    assert np.abs(made).max() < 0.98  # nothing is held back to keep from clipping
    assert abs(20 * np.log10(np.sqrt(np.mean(made**2)) / np.sqrt(np.mean(source**2)))) < 0.5
