"""speak: what is refused, which texts meet which faces, and that it resumes and describes itself as convert does."""

import numpy as np
import pytest
import soundfile
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import FakeEmbedder
from helpers.pictures import draw_face
from helpers.reporters import Notes
from helpers.sounds import recording
from helpers.speech_engines import replace_engine

from facevc_cli.batch.run import ConvertConfig
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.judges import Judges
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.speaking.narrator import NarratorSettings
from facevc_cli.speaking.speaker import Speaker
from facevc_cli.stages import evaluate
from facevc_cli.stages.speak import SpeakConfig, plan_speech, run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One whose voices follow no register that is read in a face, which is extreme in a stand-in's face."""
    return checkpoint(tmp_path_factory.mktemp("model") / "starter", "starter", embedder="dlib")


@pytest.fixture
def engine(monkeypatch):
    return replace_engine(monkeypatch)


@pytest.fixture
def folder(tmp_path, analyser, voice_embedder):
    for i, name in enumerate(("anna.jpg", "bert.jpg")):
        save_image(tmp_path / name, draw_face(i))
    return tmp_path


@pytest.fixture
def speak(folder, model, engine):
    def call(
        *texts, faces=("anna.jpg",), files=(), output="out", narrator=None, reporter=None, benchmark=None, **options
    ):
        conversions = ConvertConfig(
            sources=(),
            output=folder / output,
            faces=tuple(folder / face for face in faces),
            checkpoint=model,
            vocoder="griffin-lim",
            device="cpu",
            **options,
        )
        config = SpeakConfig(
            **benchmark or {},
            conversions=conversions,
            texts=texts,
            text_files=tuple(folder / file for file in files),
            narrator=NarratorSettings(**(narrator or {})),
        )
        return run(config, reporter or Notes())

    return call


def rows_of(folder):
    return {row["converted"]: row for row in read_table(folder / "out/manifest.csv")}


def test_what_is_refused(speak, folder):
    with pytest.raises(UsageError, match="There is nothing to say"):
        speak()
    with pytest.raises(UsageError, match="There is nothing to say: the text is empty"):
        speak("", "  ")
    (folder / "story.txt").write_text("The sun is up.")
    with pytest.raises(UsageError, match=r"story\.txt is a file\. To speak what is in it, pass --text .*story\.txt"):
        speak(str(folder / "story.txt"))
    with pytest.raises(UsageError, match="needs a face or a voice"):
        speak("Hi.", faces=())
    with pytest.raises(UsageError, match="--speed 3"):
        speak("Hi.", narrator={"speed": 3.0})
    with pytest.raises(UsageError, match="--temperature -1"):
        speak("Hi.", temperature=-1.0)
    with pytest.raises(UsageError, match="--how timbre does without the conversion, which --pitch needs"):
        speak("Hi.", narrator={"how": "timbre"}, voice_options=VoiceOptions(pitch="+2"))
    (folder / "a.txt").write_text("Hi.")
    (folder / "a.md").write_text("Ho.")
    with pytest.raises(FaceVCError, match=r"a\.txt and a\.md would both be called 'a'"):
        speak(files=("a.txt", "a.md"))
    assert not (folder / "out").exists()


def test_a_text_that_cannot_be_said_ends_only_itself(speak, folder):
    reporter = Notes()
    summary = speak("你好", "Well 你好.", "A crash.", reporter=reporter)
    assert summary.done == 1 and len(summary.failures) == 2
    assert "nothing in this text can be said" in summary.failures[0][1] and "cannot say" in summary.failures[1][1]
    assert any("well-你好: not said, because fake cannot say it in en-us: 你好" in note for note in reporter.notes)
    with pytest.raises(FaceVCError, match="cannot say"):
        speak("A crash.", "Well 你好.", output="other", fail_fast=True)


def test_texts_times_faces_resume_and_say_what_they_are(speak, folder, engine):
    summary = speak("Hi, you.", "It costs $5.", faces=("anna.jpg", "bert.jpg"), sidecar=True)
    assert (summary.done, summary.skipped) == (4, 0)
    assert engine.said == ["Hi, you.", "It costs five dollars."]  # once for both faces
    rows = rows_of(folder)
    assert list(rows) == [f"{t}__{f}.wav" for t in ("hi-you", "it-costs-5") for f in ("anna", "bert")]
    row = rows["it-costs-5__bert.wav"]
    assert (row["source"], row["source_id"], row["transcript"]) == ("", "it-costs-5", "It costs $5.")
    assert (row["engine"], row["engine_voice"], row["how"], row["status"]) == ("fake", "buzz", "convert", "done")
    made = read_provenance(folder / "out/hi-you__anna.wav")
    assert (made.engine, made.engine_voice, len(made.text_sha256), made.watermark) == ("fake", "buzz", 16, True)
    comment = soundfile.SoundFile(folder / "out/hi-you__anna.wav").comment
    assert "made from text by facevc" in comment and "from a text in the voice of the face anna.jpg" in comment
    assert '"engine": "fake"' in (folder / "out/hi-you__anna.wav.json").read_text()
    again = speak("Hi, you.", "It costs $5.", faces=("anna.jpg", "bert.jpg"))
    assert (again.done, again.skipped) == (0, 4) and len(engine.said) == 2
    with pytest.raises(FaceVCError, match="--overwrite"):
        speak("Hi, you.", narrator={"speed": 1.5})
    assert speak("Hi, you.", narrator={"speed": 1.5}, overwrite=True).done == 1
    assert float(rows_of(folder)["hi-you__anna.wav"]["seconds"]) < float(rows["hi-you__anna.wav"]["seconds"])


def test_a_table_gives_each_text_its_face(speak, folder):
    (folder / "lines.csv").write_text("id,text,face\none,Hi.,bert.jpg\ntwo,Ho.,\n")
    assert speak(files=("lines.csv",)).done == 2
    assert sorted(rows_of(folder)) == ["one__bert.wav", "two__anna.wav"]
    (folder / "both").mkdir()
    for i in range(2):
        save_image(folder / f"both/{i}.jpg", draw_face(i))
    (folder / "folders.csv").write_text("id,text,face\none,Hi.,both\n")
    assert len(speak(files=("folders.csv",), dry_run=True, output="c").data["planned"]) == 2
    (folder / "own.csv").write_text("id,text,face\none,Hi.,bert.jpg\ntwo,Ho.,anna.jpg\n")
    planned = speak(files=("own.csv",), faces=(), dry_run=True, output="b").data["planned"]
    assert [(job["source"], job["target"].rsplit("/", 1)[1]) for job in planned] == [
        ("one", "bert.jpg"),
        ("two", "anna.jpg"),
    ]


def test_subtitles_begin_at_their_times(speak, folder):
    (folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHi.\n\n2\n00:00:03,000 --> 00:00:04,000\nHo.\n")
    assert speak(files=("film.srt",), output="film.wav", narrator={"how": "timbre"}).done == 1  # random weights hiss
    wav, rate = soundfile.read(folder / "film.wav")
    loud = np.flatnonzero(np.abs(wav) > 0.02) / rate
    assert 0.9 < loud[0] < 1.2 and 3.0 < len(wav) / rate < 3.6 and not ((loud > 1.8) & (loud < 2.9)).any()


def test_the_engines_timbre_is_for_one_voice(speak, folder, engine):
    faces = ("anna.jpg", "bert.jpg")
    assert speak("Hi, you.", faces=faces, narrator={"how": "timbre"}).done == 2
    assert len(engine.said) == 2 and all(sketch.f0_hz > 50 for sketch in engine.sketch)
    assert rows_of(folder)["hi-you__anna.wav"]["how"] == "timbre"
    assert speak("Hi, you.", faces=faces, narrator={"how": "both"}, output="both").done == 2
    plain, _ = soundfile.read(folder / "out/hi-you__anna.wav")
    converted, _ = soundfile.read(folder / "both/hi-you__anna.wav")
    assert len(plain) == len(converted) and np.abs(plain - converted).max() > 0.01


def test_the_plan_needs_no_model(engine, folder):
    config = ConvertConfig(
        sources=(), output=folder / "o.wav", faces=(folder / "anna.jpg",), checkpoint=folder / "none"
    )
    (row,) = plan_speech(SpeakConfig(conversions=config, texts=("Hi.",))).rows
    assert (row.source.id, row.target_id, row.job.output) == ("hi", "anna", folder / "o.wav")


@pytest.fixture
def speaker(model, engine, folder):
    from facevc_cli.conversion.converter import Converter

    converter = Converter(model, "griffin-lim", "cpu")
    return lambda **settings: Speaker(converter, **settings)


def test_a_speaker_refuses(speaker, folder):
    with pytest.raises(FaceVCError, match="needs a face or a voice, and not both"):
        speaker().speak("Hi.")
    with pytest.raises(FaceVCError, match="nothing in this text"):
        list(speaker().speak_sentences("你好", face=folder / "anna.jpg"))
    with pytest.raises(UsageError, match="--speed 9"):
        speaker(speed=9.0)


@pytest.mark.parametrize("how", ["convert", "timbre", "both"])
def test_a_speaker_speaks_at_once_and_sentence_by_sentence(speaker, folder, how, engine):
    one = speaker(how=how)
    text, face = "This is one. And this is two.", folder / "anna.jpg"
    wav, rate = one.speak(text, face=face)
    assert rate == one.rate and wav.dtype == np.float32 and np.isfinite(wav).all()
    said = len(engine.said)
    pieces = one.speak_sentences(text, face=face)
    first, _ = next(pieces)
    assert len(engine.said) == said + 1  # the second sentence waits
    rest = [piece for piece, _ in pieces]
    assert len(first) + sum(map(len, rest)) == pytest.approx(len(wav), abs=4)
    assert (np.abs(first).max() > 0.01) and len(rest) == 1


def test_a_speaker_takes_a_recording_or_a_target(speaker, folder):
    one, path = speaker(), recording(folder / "v.wav", 0.4, f0_hz=210)
    target = one.converter.target_from_voice(path)
    np.testing.assert_allclose(one.speak("Hi.", voice=target)[0], one.speak("Hi.", voice=path)[0], atol=1e-5)


def test_a_speaker_takes_a_register_and_an_age(speaker, folder):
    """Both are what the converter makes of the same face; a recording has its own."""
    one, face = speaker(), folder / "anna.jpg"
    plain = one.converter.target_from_face(face)
    moved = one.converter.apply_trait_rule(plain, TraitRule.parse("feminine", "70"))
    assert not torch.equal(plain.speaker, moved.speaker)
    wanted = one.speak("Hi.", voice=moved)[0]
    np.testing.assert_allclose(one.speak("Hi.", face=face, register="feminine", age=70)[0], wanted, atol=1e-5)
    np.testing.assert_allclose(one.speak("Hi.", voice=plain, register=1.0, age="70")[0], wanted, atol=1e-5)
    ((piece, _),) = one.speak_sentences("Hi.", face=face, register="feminine", age=70)
    assert np.abs(piece).max() > 0 and not np.allclose(piece, next(one.speak_sentences("Hi.", face=face))[0])
    for wrong in ({"register": "low"}, {"age": 7}):
        with pytest.raises(UsageError, match=f"--{next(iter(wrong))}"):
            one.speak("Hi.", face=face, **wrong)
    with pytest.raises(FaceVCError, match="The voice of a recording is taken as it is"):
        one.speak("Hi.", voice=recording(folder / "v.wav", 0.4), register="feminine")


def test_register_and_age_reach_the_voice(speak, folder, engine):
    with pytest.raises(UsageError, match="--register and --age change the voice of a face"):
        speak("Hi.", voices=(recording(folder / "v.wav", 0.4),), voice_options=VoiceOptions(register="feminine"))
    assert speak("Hi.", narrator={"how": "timbre"}).done == 1
    feminine = VoiceOptions(register="feminine", age="30")
    assert speak("Hi.", narrator={"how": "timbre"}, voice_options=feminine, output="other").done == 1
    assert not np.array_equal(engine.sketch[0].dvector, engine.sketch[1].dvector)


# as a benchmark


@pytest.fixture
def benchmark(folder):
    """Three people of each gender with two pictures each, their labels, and a protocol of 2 texts x 4 people x 2."""
    rows = []
    for i in range(6):
        for k in range(2):
            save_image(folder / f"faces/p{i}/{k}.jpg", draw_face(i))
        rows.append({"target": f"p{i}", "gender": "female" if i % 2 else "male", "group": f"g{i}"})
    write_table(folder / "people.csv", rows)
    (folder / "small.yaml").write_text("texts: {count: 2}\ntargets: {people: 2, images: 2}\n")
    return {"protocol": str(folder / "small.yaml"), "labels": folder / "people.csv"}


def test_what_a_protocol_refuses(speak, folder, benchmark):
    with pytest.raises(UsageError, match="Pass --labels"):
        speak("Hi.", faces=("faces",), benchmark={**benchmark, "labels": None})
    with pytest.raises(UsageError, match="--protocol paper is about recordings. Pass it to 'facevc benchmark'"):
        speak("Hi.", faces=("faces",), benchmark={**benchmark, "protocol": "paper"})
    with pytest.raises(FaceVCError, match="expected 2 texts, found 1"):
        speak("Hi.", faces=("faces",), benchmark=benchmark)
    (folder / "lines.csv").write_text("id,text,face\none,Hi.,bert.jpg\ntwo,Ho.,\n")
    with pytest.raises(UsageError, match="draws the faces, and a table of texts names its own"):
        speak(files=("lines.csv",), faces=("faces",), benchmark=benchmark)


def test_two_systems_stand_side_by_side_in_one_evaluation_and_one_listening_test(speak, folder, benchmark):
    texts = ("Hi, you.", "It costs $5.", "Well, no.")
    for name, speed in (("slow", 0.8), ("fast", 1.2)):
        summary = speak(
            *texts,
            faces=("faces",),
            benchmark={**benchmark, "system": name},
            name=f"{name}/{{source}}__{{target}}.wav",
            narrator={"speed": speed},
        )
        assert summary.done == 2 * 4 * 2
    rows = list(rows_of(folder).values())
    assert len(rows) == 32 and all(row["group"] == f"g{row['target'][1:]}" for row in rows)
    drawn = [{(row["source_id"], row["face"]) for row in rows if row["system"] == name} for name in ("slow", "fast")]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 16  # one seed, one draw
    config = evaluate.EvaluateConfig(
        manifest=folder / "out", jobs=1, listening_test=folder / "test.html", listening_items=4
    )
    found = evaluate.run(config, judges=Judges(embedder=FakeEmbedder(), gender=PitchGenderJudge())).data
    for name in ("slow", "fast"):
        counts = {metric: found["systems"][name][metric]["n"] for metric in ("GA", "SHO", "SDO", "SSC", "SSD")}
        # 2 texts x 8 images; 2 texts x 4 people; 2 texts x (28 - 4) pairs of images; 8 images; 8 x 6 images of others
        assert counts == {"GA": 16, "SHO": 8, "SDO": 48, "SSC": 8, "SSD": 48}
    assert "slow - fast" in found["differences"] and "leakage" not in found["systems"]["slow"]
    assert "data:" in (folder / "test.html").read_text()
