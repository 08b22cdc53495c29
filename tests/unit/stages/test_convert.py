"""stages/convert.py: which conversions are planned, what is written, and what a second run does."""

import re
import shutil

import numpy as np
import pytest
import soundfile
from helpers.checkpoints import checkpoint
from helpers.conversions import config, table
from helpers.pictures import save_grey
from helpers.reporters import Notes
from helpers.sounds import buzz, recording

from facevc_cli.batch.jobs import Naming, collect_jobs, make_job_keys
from facevc_cli.batch.plan import plan_conversions
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.audio import load_audio
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest import manifest as conversion_manifest
from facevc_cli.manifest.contract import MANIFEST
from facevc_cli.provenance import saving
from facevc_cli.provenance.metadata import read_key
from facevc_cli.stages.convert import run

pytestmark = pytest.mark.usefixtures("analyser")


@pytest.fixture
def model(toy_model):
    return toy_model


@pytest.fixture
def inputs(tmp_path):
    """Two sources and two faces, in folders."""
    recording(tmp_path / "wavs" / "ann" / "one.wav", 0.2)
    recording(tmp_path / "wavs" / "two.wav", 0.3, f0_hz=200)
    for name, value in {"eve": 90, "bob": 160}.items():
        save_grey(tmp_path / "faces" / f"{name}.png", value)
    return tmp_path


ALL = {"ann/one__bob.wav", "ann/one__eve.wav", "two__bob.wav", "two__eve.wav"}


def test_every_source_with_every_face(inputs, model, analyser):
    summary = run(config(inputs, model))
    assert (summary.done, summary.skipped, summary.failures) == (4, 0, [])
    assert summary.next_command.startswith("facevc evaluate ")
    rows = table(inputs / "out")
    assert set(rows) == ALL and {row["status"] for row in rows.values()} == {"done"}
    assert analyser.asked == 2  # each face once, not once a source
    row = rows["ann/one__eve.wav"]
    assert row["source_id"] == "ann/one" and row["face_id"] == row["target"] == "eve" and row["voice"] == ""
    assert (row["source"], row["face"], row["driver"]) == (
        "../wavs/ann/one.wav",
        "../faces/eve.png",
        "../faces/eve.png",
    )
    assert (row["model"], row["vocoder"], float(row["seconds"])) == ("toy", "griffin-lim", pytest.approx(0.2, abs=1e-3))
    info = soundfile.info(inputs / "out" / "ann" / "one__eve.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert not list((inputs / "out").rglob("*.tmp*"))


def test_a_file_that_a_power_cut_left_empty_is_made_again(inputs, model):
    run(config(inputs, model))
    whole = (inputs / "out" / "two__eve.wav").read_bytes()
    (inputs / "out" / "two__eve.wav").write_bytes(b"")
    summary = run(config(inputs, model))
    assert (summary.done, summary.skipped, summary.failures) == (1, 3, [])
    assert (inputs / "out" / "two__eve.wav").read_bytes() == whole


def test_a_file_says_what_it_is(inputs, model):
    run(config(inputs, model, name="{source}__{target}.flac", limit=1))
    with soundfile.SoundFile(inputs / "out" / "ann" / "one__bob.flac") as file:
        assert file.format == "FLAC"
        said = r"synthetic speech: voice converted by facevc .* from one\.wav to the face bob\.png \{.*\}$"
        assert re.match(said, file.comment)
    assert read_key(inputs / "out" / "ann" / "one__bob.flac") == table(inputs / "out")["ann/one__bob.flac"]["key"]
    assert read_key(inputs / "wavs" / "two.wav") is None and read_key(inputs / "faces" / "eve.png") is None


def test_one_file(inputs, model):
    source, face = inputs / "wavs" / "two.wav", inputs / "faces" / "eve.png"
    one = config(inputs, model, sources=(source,), faces=(face,), output=inputs / "new" / "o.ogg")
    assert run(one).done == 1 and run(one).skipped == 1
    assert list((inputs / "new").iterdir()) == [inputs / "new" / "o.ogg"]  # no manifest beside it
    assert len(load_audio(inputs / "new" / "o.ogg")[0]) == pytest.approx(4800, abs=64)
    with pytest.raises(FaceVCError, match=r"both be written to .*Give a folder"):
        run(config(inputs, model, output=inputs / "o.wav"))
    assert run(config(inputs, model, output=inputs / "o.wav", limit=1)).done == 1


def test_nothing_is_written_by_a_dry_run(inputs, model):
    reporter = Notes()
    summary = run(config(inputs, model, dry_run=True), reporter)
    assert summary.data["conversions"] == len(summary.data["planned"]) == 4 and summary.done == 0
    assert "two__eve.wav" in summary.data["planned"][-1]["converted"] and not (inputs / "out").exists()


def test_bad_items_are_listed_and_the_rest_goes_on(inputs, model, analyser):
    (inputs / "wavs" / "empty.wav").write_bytes(b"")
    (inputs / "wavs" / "text.wav").write_text("no sound")
    save_image(inputs / "faces" / "nobody.png", np.zeros((40, 40, 3), np.uint8))
    summary = run(config(inputs, model))
    assert summary.done == 4 and len(summary.failures) == 8
    reasons = dict(summary.failures)
    assert "zero bytes" in reasons["empty__eve.wav"] and "text.wav" in reasons["text__bob.wav"]
    assert "nobody.png: expected a face" in reasons["two__nobody.wav"]
    assert analyser.asked == 3  # a refusal is remembered as well
    row = table(inputs / "out")["two__nobody.wav"]
    assert row["status"] == "failed" and "expected a face" in row["reason"] and row["seconds"] == ""
    save_grey(inputs / "faces" / "nobody.png", 30)
    again = run(config(inputs, model))
    assert (again.done, again.skipped, len(again.failures)) == (2, 4, 6)
    assert (
        table(inputs / "out")["two__nobody.wav"] | {"status": "done", "reason": ""}
        == table(inputs / "out")["two__nobody.wav"]
    )


def test_fail_fast(inputs, model):
    (inputs / "wavs" / "a.wav").write_bytes(b"")
    with pytest.raises(FaceVCError, match="zero bytes"):
        run(config(inputs, model, fail_fast=True))
    assert [row["status"] for row in table(inputs / "out").values()] == ["failed"]


def test_a_stopped_run_goes_on(inputs, model, monkeypatch):
    speak, spoken = Converter.speak_many, []

    def dying(self, pairs):
        if len(spoken) == 2:
            raise KeyboardInterrupt
        spoken.append(1)
        return speak(self, pairs)

    monkeypatch.setattr(Converter, "speak_many", dying)
    with pytest.raises(KeyboardInterrupt):
        run(config(inputs, model))
    monkeypatch.setattr(Converter, "speak_many", speak)
    assert set(table(inputs / "out")) == {"ann/one__bob.wav", "ann/one__eve.wav"}
    first = inputs / "out" / "ann" / "one__bob.wav"
    before = first.stat().st_mtime_ns
    reporter = Notes()
    summary = run(config(inputs, model), reporter)
    assert (summary.done, summary.skipped) == (2, 2) and reporter.skipped == ["ann/one__bob.wav", "ann/one__eve.wav"]
    assert first.stat().st_mtime_ns == before
    assert set(table(inputs / "out")) == ALL


def test_a_finished_file_whose_row_was_lost(inputs, model):
    """As after a kill between a file and the next writing of the manifest."""
    run(config(inputs, model))
    rows = [row for row in read_table(inputs / "out" / MANIFEST) if row["source_id"] != "two"]
    write_table(inputs / "out" / MANIFEST, rows)
    summary = run(config(inputs, model))
    assert (summary.done, summary.skipped) == (2, 2) and set(table(inputs / "out")) == ALL
    (inputs / "out" / MANIFEST).unlink()
    assert run(config(inputs, model)).done == 4 and set(table(inputs / "out")) == ALL


def test_the_manifest_on_disk_keeps_up(inputs, model, monkeypatch):
    seen = []
    monkeypatch.setattr(conversion_manifest, "SAVING_SHARE", 1e9)
    monkeypatch.setattr(Notes, "advance", lambda self, item, **_: seen.append(len(table(inputs / "out"))))
    run(config(inputs, model), Notes())
    assert seen == [1, 2, 3, 4]


def test_columns_that_people_added_stay(inputs, model):
    run(config(inputs, model, limit=1))
    rows = read_table(inputs / "out" / MANIFEST)
    write_table(inputs / "out" / MANIFEST, [{**row, "gender": "f"} for row in rows])
    run(config(inputs, model))
    assert [row["gender"] for row in read_table(inputs / "out" / MANIFEST)] == ["f", "", "", ""]


def test_other_settings_are_refused(inputs, model, tmp_path):
    run(config(inputs, model))
    others = {
        "temperature": config(inputs, model, temperature=0.5),
        "model": config(inputs, checkpoint(tmp_path / "other", seed=1)),
        "on_many": config(inputs, model, on_many="skip"),
    }
    for other in others.values():
        with pytest.raises(FaceVCError, match=r"one__bob\.wav is there already.*--overwrite"):
            run(other)
    before = (inputs / "out" / "two__eve.wav").read_bytes()
    summary = run(config(inputs, checkpoint(tmp_path / "other", seed=1), overwrite=True))
    assert (summary.done, summary.skipped) == (4, 0) and (inputs / "out" / "two__eve.wav").read_bytes() != before
    recording(inputs / "wavs" / "two.wav", 0.25)  # another recording under an old name
    with pytest.raises(FaceVCError, match="two__bob"):
        run(config(inputs, checkpoint(tmp_path / "other", seed=1)))
    shutil.rmtree(inputs / "out")
    (inputs / "out" / "ann").mkdir(parents=True)
    recording(inputs / "out" / "ann" / "one__bob.wav", 0.1)  # somebody's own file
    with pytest.raises(FaceVCError, match="not by this command"):
        run(config(inputs, model))


def test_the_vocoder_counts_among_the_settings(inputs, model, tmp_path):
    naming = Naming(inputs / "out")
    jobs = collect_jobs(plan_conversions([inputs / "wavs"], [inputs / "faces"], [], naming), naming)
    path = tmp_path / "vocoder.pkl"
    path.write_bytes(b"one")
    keys = [make_job_keys(jobs, model, vocoder)[jobs[0]] for vocoder in (None, "auto", "griffin-lim", str(path))]
    path.write_bytes(b"two")
    keys.append(make_job_keys(jobs, model, str(path))[jobs[0]])
    assert keys[0] == keys[1] and len(set(keys)) == 4
    assert len(set(make_job_keys(jobs, model, None).values())) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vocoder": "nowhere/vocoder.pkl"}, "nothing is there"),
        ({"vocoder": "hifigan"}, "trained on the mel definition"),
        ({"checkpoint": "nowhere"}, "expected a checkpoint"),
        ({"temperature": 0.0}, "--temperature"),
        ({"temperature": float("nan")}, "--temperature"),
        ({"faces": ()}, "--face"),
        ({"faces": ("nowhere.png",)}, "no such file"),
        ({"name": "{speaker}.wav"}, "--name"),
        ({"name": "{source.nothing}.wav"}, "--name"),
        ({"name": "{source}"}, "ends in .wav"),
        ({"name": "{source}.mp3"}, "ends in .wav"),
        ({"name": "../{source}__{target}.wav"}, "leads outside"),
        ({"name": "/tmp/{source}__{target}.wav"}, "leads outside"),
        ({"name": "{source}.wav"}, "both be written"),
    ],
)
def test_what_fails_before_any_work(inputs, model, changes, reason, monkeypatch):
    monkeypatch.setattr(Converter, "hear", None)  # any work would be a TypeError
    with pytest.raises(FaceVCError, match=reason):
        run(config(inputs, model, **changes))
    assert not (inputs / "out").exists()


def test_outputs_that_cannot_be(inputs, model):
    (inputs / "file").write_text("")
    for output, kind in (
        (inputs / "file", UsageError),
        (inputs / "o.mp3", UsageError),
        (inputs / "file" / "below", FaceVCError),
    ):
        with pytest.raises(kind, match=r"file|o\.mp3"):
            run(config(inputs, model, output=output))
    assert sorted(p.name for p in inputs.iterdir()) == ["faces", "file", "wavs"]


def test_a_pretrained_model_is_refused_once(inputs, tmp_path):
    pretrained = checkpoint(tmp_path / "pre", faces=False)
    with pytest.raises(FaceVCError, match=r"never trained on faces.*--voice"):
        run(config(inputs, pretrained))
    assert not (inputs / "out").exists()


def test_voices_instead_of_faces(inputs, tmp_path, voice_embedder):
    pretrained = checkpoint(tmp_path / "pre", faces=False)
    recording(tmp_path / "voices" / "p1" / "a.wav", 0.5, f0_hz=210)
    summary = run(config(inputs, pretrained, faces=(), voices=(tmp_path / "voices",)))
    assert summary.done == 2
    row = table(inputs / "out")["two__p1-a.wav"]
    assert row["face"] == "" and row["voice"].endswith("a.wav") and (row["face_id"], row["target"]) == ("p1/a", "p1")


def test_odd_names(inputs, model):
    odd = ["a {source}.x", 'ü, "quoted"', "..", "%s;$(x)", "new\nline"]
    for name in odd:
        recording(inputs / "odd" / f"{name}.wav", 0.1)
    face = inputs / "faces" / "é {face} [1].png"
    (inputs / "faces" / "eve.png").rename(face)
    named = tuple(inputs / "odd" / f"{name}.wav" for name in odd)
    summary = run(config(inputs, model, sources=named, faces=(face,)))
    assert summary.failures == []
    assert {row["source_id"] for row in table(inputs / "out").values()} == set(odd)
    assert {p.name for p in (inputs / "out").glob("*.wav")} == {f"{name}__é {{face}} [1].wav" for name in odd}
    assert run(config(inputs, model, sources=named, faces=(face,))).skipped == len(odd)
    with pytest.raises(FaceVCError, match="leads outside"):
        run(config(inputs, model, sources=(inputs / "odd" / "...wav",), faces=(face,), name="{source}/{target}.wav"))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{source}__{target}.wav", []),
        ("{source}__{face}.wav", ["{face} in --name is now called {target}. The old name still works."]),
        ("{source}__{voice}.wav", ["{voice} in --name is now called {target}. The old name still works."]),
    ],
)
def test_old_fields_of_names(inputs, model, pattern, told):
    """They name the same files as the default pattern, and one line says what they are called."""
    reporter = Notes()
    summary = run(config(inputs, model, name=pattern, dry_run=True), reporter)
    made = [job["converted"] for job in summary.data["planned"]]
    assert made == [
        str(inputs / "out" / f"{name}.wav") for name in ("ann/one__bob", "ann/one__eve", "two__bob", "two__eve")
    ]
    assert [note for note in reporter.notes if "--name" in note] == told


def test_a_name_that_no_table_can_hold(inputs, model):
    try:
        shutil.copy(inputs / "wavs" / "two.wav", str(inputs / "wavs") + "/\udcff.wav")
    except (OSError, UnicodeError):
        pytest.skip("this file system holds UTF-8 names only")
    with pytest.raises(FaceVCError, match="not UTF-8") as raised:
        run(config(inputs, model))
    str(raised.value).encode("utf-8")


def test_collisions(inputs, model):
    recording(inputs / "more" / "two.wav", 0.1)
    with pytest.raises(FaceVCError, match="both be called 'two'"):
        run(config(inputs, model, sources=(inputs / "wavs" / "two.wav", inputs / "more" / "two.wav")))
    for name in ("p/a.png", "p-a.png"):
        save_grey(inputs / "more" / name, 50)
    with pytest.raises(FaceVCError, match="both be written to"):
        run(config(inputs, model, faces=(inputs / "more",)))


def test_pairs(inputs, model):
    rows = [
        {"source": "two", "face": "eve", "voice": ""},
        {"source": "one.wav", "face": str(inputs / "faces" / "bob.png"), "voice": ""},
        {"source": "two", "face": "eve", "voice": ""},  # twice is once
    ]
    write_table(inputs / "pairs.csv", rows)
    run(config(inputs, model, pairs=inputs / "pairs.csv"))
    assert set(table(inputs / "out")) == {"ann/one__bob.wav", "two__eve.wav"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"source": "two", "face": "nobody"}], r"1 pairs name .* 'two with nobody'"),
        ([{"source": "two", "face": ""}], "nothing in the columns"),
        ([{"source": "two", "voice": "eve"}], "'two with eve'"),  # a face of that name is no voice
        ([{"face": "eve"}], "source is missing"),
    ],
)
def test_pairs_that_do_not_fit(inputs, model, rows, reason):
    write_table(inputs / "pairs.csv", rows)
    with pytest.raises(FaceVCError, match=reason):
        run(config(inputs, model, pairs=inputs / "pairs.csv"))


def test_file_names_in_pairs_must_be_unique(inputs, model):
    recording(inputs / "wavs" / "bea" / "one.wav", 0.2)
    (inputs / "pairs.csv").write_text("source,face\none.wav,eve\n")
    with pytest.raises(FaceVCError, match=r"one\.wav with eve"):
        run(config(inputs, model, pairs=inputs / "pairs.csv"))
    (inputs / "pairs.csv").write_text("source,face\n")
    with pytest.raises(FaceVCError, match="no rows"):
        run(config(inputs, model, pairs=inputs / "pairs.csv"))


def test_a_video_is_a_source(inputs, model):
    import av

    path = inputs / "wavs" / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=44100, layout="stereo")
        samples = np.repeat((buzz(0.3, 44100) * 32767).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert run(config(inputs, model, sources=(path,), limit=1)).done == 1
    assert float(table(inputs / "out")["clip__bob.wav"]["seconds"]) == pytest.approx(0.3, abs=0.01)


def test_a_full_disk_is_a_failure_of_the_item(inputs, model, monkeypatch):
    save = saving.save_audio

    def full(path, *rest, **named):
        if "eve" in path.name:
            raise FaceVCError(f"{path} could not be written: No space left on device.")
        save(path, *rest, **named)

    monkeypatch.setattr(saving, "save_audio", full)
    summary = run(config(inputs, model))
    assert summary.done == 2 and {item for item, _ in summary.failures} == {"ann/one__eve.wav", "two__eve.wav"}
    assert not (inputs / "out" / "two__eve.wav").exists()
