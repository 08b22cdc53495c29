"""`benchmark`: baselines, degraded faces, labels, protocols and addresses, through several runs."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from helpers.checkpoints import checkpoint
from helpers.conversions import config as conversion_config
from helpers.networks import FakeAnalyser
from helpers.reporters import Notes
from helpers.sounds import recording

from facevc_cli.batch.jobs import Naming, collect_jobs, make_job_keys
from facevc_cli.batch.plan import plan_conversions
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import ADDRESSES, MANIFEST
from facevc_cli.manifest.manifest import Manifest, read_addresses
from facevc_cli.provenance.metadata import read_key
from facevc_cli.stages.benchmark import BenchmarkConfig, run

pytestmark = pytest.mark.usefixtures("analyser", "voice_embedder")


@pytest.fixture
def model(toy_model):
    return toy_model


PEOPLE = {"ann": ("female", 60), "bea": ("female", 90), "cem": ("male", 150), "dan": ("male", 200)}
ALL = ("shuffled-faces", "shuffled-within-gender", "mean-face", "source", "voice")


@pytest.fixture
def inputs(tmp_path):
    """Two sources, four people with a face each in a folder of their own, a recording of each but dan, and tables."""
    for name, f0_hz in {"one": 110, "two": 200}.items():
        recording(tmp_path / "wavs" / f"{name}.wav", 0.15, f0_hz=f0_hz)
    labels = []
    for person, (gender, grey) in PEOPLE.items():
        image = np.full((40, 40, 3), grey, np.uint8)
        image[::2, ::2] += 20
        save_image(tmp_path / "faces" / person / "1.png", image)
        if person != "dan":
            recording(tmp_path / "real" / f"{person}.wav", 0.3, f0_hz=100 + grey)
        labels.append(
            {
                "target": person,
                "gender": gender,
                "references": f"real/{person}.wav" if person != "dan" else "",
                "age_bin": f"{grey}s",
            }
        )
    write_table(tmp_path / "labels.csv", labels)
    write_table(tmp_path / "sources.csv", [{"source_id": "one", "gender": "m", "speaker": "x", "transcript": "hello"}])
    return tmp_path


def config(
    inputs, model, limit=None, system=None, overwrite=False, faces="faces", temperature=None, pairs=None, **benchmark
):
    changes = {
        "faces": (inputs / faces,),
        "limit": limit,
        "overwrite": overwrite,
        "temperature": temperature,
        "pairs": pairs,
    }
    conversions = conversion_config(inputs, model, **changes)
    return BenchmarkConfig(
        **{"conversions": conversions, "labels": inputs / "labels.csv", "system": system, **benchmark}
    )


def lines(inputs, **wanted):
    rows = read_table(inputs / "out" / MANIFEST)
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def wavs(inputs):
    return sorted(p.relative_to(inputs / "out").as_posix() for p in (inputs / "out").rglob("*.wav"))


def test_all_baselines(inputs, model, analyser):
    summary = run(config(inputs, model, baselines=ALL))
    assert summary.failures == [] and analyser.asked == 4  # the mean face takes the embeddings that are there
    own = [f"{s}__{p}-1.wav" for s in ("one", "two") for p in PEOPLE]
    mean = [f"baselines/mean-face/{s}__mean-face.wav" for s in ("one", "two")]
    voice = [f"baselines/voice/{s}__{p}.wav" for s in ("one", "two") for p in ("ann", "bea", "cem")]
    assert wavs(inputs) == sorted(own + mean + voice) and summary.done == 8 + 2 + 6
    assert {row["converted"] for row in lines(inputs, baseline="")} == set(own)
    count = {name: len(lines(inputs, baseline=name)) for name in ALL}
    assert count == {"shuffled-faces": 8, "shuffled-within-gender": 8, "mean-face": 8, "source": 8, "voice": 6}
    assert {row["status"] for row in lines(inputs)} == {"done"} and lines(inputs)[0]["baseline"] == ""
    for row in lines(inputs, baseline="shuffled-within-gender"):
        driven = row["driver"].split("/")[-2]
        assert driven != row["target"] and PEOPLE[driven][0] == PEOPLE[row["target"]][0] == row["gender"]
        assert (
            row["face"].endswith(f"faces/{row['target']}/1.png")
            and row["converted"] == f"{row['source_id']}__{driven}-1.wav"
        )
        assert {key: row[key] for key in ("key", "seconds")} == {
            key: lines(inputs, converted=row["converted"])[0][key] for key in ("key", "seconds")
        }
    assert {row["converted"] for row in lines(inputs, baseline="source", source_id="one")} == {"../wavs/one.wav"}
    row = lines(inputs, baseline="voice", target="cem", source_id="two")[0]
    assert (
        row["driver"] == row["references"] == "../real/cem.wav"
        and row["voice"] == ""
        and row["face"].endswith("cem/1.png")
    )
    assert {row["driver"] for row in lines(inputs, baseline="mean-face")} == {""}
    assert [row["age_bin"] for row in lines(inputs, baseline="", source_id="one")] == ["60s", "90s", "150s", "200s"]
    with soundfile.SoundFile(inputs / "out" / mean[0]) as file:
        assert "to the mean of 4 faces {" in file.comment


def test_the_mean_face_is_the_mean_of_people(inputs, model, analyser, monkeypatch):
    shutil.copy(inputs / "faces" / "dan" / "1.png", inputs / "faces" / "dan" / "2.png")
    save_image(
        inputs / "faces" / "ann" / "2.png", np.zeros((40, 40, 3), np.uint8)
    )  # no face: ann's mean is her other picture
    heard = []
    recall = Converter.target_from_embedding
    monkeypatch.setattr(
        Converter, "target_from_embedding", lambda self, e, t=None: (heard.append(np.asarray(e)), recall(self, e, t))[1]
    )
    reporter = Notes()
    summary = run(config(inputs, model, baselines=("mean-face",)), reporter)
    assert {item for item, _ in summary.failures} == {"one__ann-2.wav", "two__ann-2.wav"}
    assert any("mean of 6 faces: 1 of them cannot be used" in note and "ann/2.png" in note for note in reporter.notes)
    single = {
        name: e
        for name, e in zip(("ann", "bea", "cem", "dan", "dan"), (heard[i] for i in (0, 1, 2, 3, 4)), strict=True)
    }
    np.testing.assert_allclose(
        heard[5], np.mean(list(single.values()), axis=0), atol=1e-6
    )  # dan once, for all his pictures
    assert len(heard) == 6


def test_a_second_run_skips_all_and_a_third_mends(inputs, model, analyser):
    asked = config(
        inputs, model, baselines=ALL, degrade=("blur=1", "dark=.5+jpeg=50"), sources_table=inputs / "sources.csv"
    )
    first = run(asked)
    manifest, addresses = ((inputs / "out" / name).read_bytes() for name in (MANIFEST, ADDRESSES))
    times = {name: (inputs / "out" / name).stat().st_mtime_ns for name in [*wavs(inputs), MANIFEST, ADDRESSES]}
    analyser.asked = 0
    again = run(asked)
    assert (again.done, again.skipped, again.failures) == (0, first.done, []) and analyser.asked == 0
    assert {name: (inputs / "out" / name).stat().st_mtime_ns for name in times} == times
    (inputs / "out" / "one__ann-1.wav").unlink()
    (inputs / "out" / "degraded" / "blur=1" / "two__dan-1.wav").unlink()
    write_table(inputs / "out" / MANIFEST, [row for row in lines(inputs) if row["baseline"] != "mean-face"])
    mended = run(asked)
    assert (mended.done, mended.skipped) == (4, first.done - 4)
    assert sorted((inputs / "out" / MANIFEST).read_bytes().splitlines()) == sorted(manifest.splitlines())
    assert read_addresses(inputs / "out" / ADDRESSES)[0] == read_addresses_of(addresses, inputs)


def read_addresses_of(content, inputs):
    (inputs / "copy.safetensors").write_bytes(content)
    return read_addresses(inputs / "copy.safetensors")[0]


def test_what_is_asked_for_later_comes_beside(inputs, model):
    """Plain, then labels, then baselines: nothing is converted twice, every row is brought up to date."""
    assert run(config(inputs, model, labels=None)).done == 8
    assert {row["gender"] for row in lines(inputs)} == {""} and "age_bin" not in lines(inputs)[0]
    labelled = run(config(inputs, model, sources_table=inputs / "sources.csv"))
    assert (labelled.done, labelled.skipped) == (0, 8)
    row = lines(inputs, converted="one__bea-1.wav")[0]
    assert (row["gender"], row["age_bin"], row["source_gender"], row["transcript"]) == ("female", "90s", "m", "hello")
    assert lines(inputs, converted="two__bea-1.wav")[0]["transcript"] == ""  # the table has no row for it
    shuffled = run(config(inputs, model, labels=None, baselines=("shuffled-faces", "source")))
    assert (shuffled.done, shuffled.skipped, len(lines(inputs))) == (0, 8, 24)
    assert lines(inputs, converted="one__bea-1.wav", baseline="")[0]["gender"] == "female"
    other = run(config(inputs, model, baselines=("shuffled-faces",), seed=1))
    assert other.done == 0 and len(lines(inputs)) == 24  # another draw takes the place of the first


def test_a_smaller_plan_and_a_larger_one(inputs, model):
    small = run(config(inputs, model, limit=2, baselines=("shuffled-faces", "source"), degrade=("blur=1",)))
    assert small.done == 4 and wavs(inputs) == [
        "degraded/blur=1/one__ann-1.wav",
        "degraded/blur=1/one__bea-1.wav",
        "one__ann-1.wav",
        "one__bea-1.wav",
    ]
    write_table(inputs / "pairs.csv", [{"source": "one", "face": "ann/1"}, {"source": "two", "face": "cem/1"}])
    paired = run(config(inputs, model, pairs=inputs / "pairs.csv", baselines=("shuffled-faces",)))
    assert (paired.done, paired.skipped) == (3, 1)
    shuffled = {row["converted"] for row in lines(inputs, baseline="shuffled-faces")}
    assert shuffled == {
        "one__ann-1.wav",
        "baselines/shuffled-faces/one__cem-1.wav",
        "baselines/shuffled-faces/two__ann-1.wav",
    }
    assert (
        len(lines(inputs, baseline="source")) == 2 and len(lines(inputs, degradation="blur=1")) == 2
    )  # of the first run


def test_a_face_that_is_lost_under_degradation(inputs, model):
    summary = run(config(inputs, model, degrade=("dark=0,blur=1",)))
    assert summary.done == 16 and len(summary.failures) == 8
    reasons = {row["reason"] for row in lines(inputs, degradation="dark=0", status="failed", target="ann")}
    assert reasons == {f"{inputs / 'faces' / 'ann' / '1.png'} degraded by dark=0: expected a face, found none."}
    row = lines(inputs, degradation="blur=1", target="ann", source_id="one")[0]
    assert (
        row["converted"] == "degraded/blur=1/one__ann-1.wav" and row["driver"] == row["face"] and row["baseline"] == ""
    )
    clean = lines(inputs, degradation="", target="ann", source_id="one")[0]
    assert row["key"] != clean["key"] == read_key(inputs / "out" / clean["converted"])
    assert row["key"] == read_key(inputs / "out" / row["converted"])


def test_degraded_faces_are_degraded(inputs, model, analyser, monkeypatch):
    seen = []
    analyse = FakeAnalyser.analyse
    monkeypatch.setattr(
        FakeAnalyser, "analyse", lambda self, image: (seen.append(float(image.mean())), analyse(self, image))[1]
    )
    run(config(inputs, model, limit=1, degrade=("dark=.5",)))
    assert seen == [pytest.approx(65), pytest.approx(32.5, abs=0.6)]


def test_addresses(inputs, model, tmp_path):
    run(config(inputs, model, limit=2, degrade=("blur=1",), baselines=("voice",)))
    faces, address, slots = read_addresses(inputs / "out" / ADDRESSES)
    assert faces == [row["face"] for row in lines(inputs, baseline="", degradation="")]
    assert address.shape == (2, 16) and slots.shape == (16, 256) and address.dtype == slots.dtype == np.float32
    np.testing.assert_allclose(address.sum(1), 1, atol=1e-5)
    converter = Converter(model, "griffin-lim", "cpu")
    target = converter.target_from_face(inputs / "out" / faces[1])
    np.testing.assert_allclose(address[1], target.address[0], atol=1e-6)
    np.testing.assert_allclose(address[1] @ slots, target.speaker[0], atol=1e-5)
    run(config(inputs, model))
    merged, more, _ = read_addresses(inputs / "out" / ADDRESSES)
    assert merged[:2] == faces and len(merged) == 4
    np.testing.assert_array_equal(more[:2], address)
    run(config(inputs, model, limit=1, temperature=0.1, overwrite=True))
    changed = read_addresses(inputs / "out" / ADDRESSES)[1]
    assert changed[0].max() > more[0].max()
    np.testing.assert_array_equal(changed[1:], more[1:])
    run(config(inputs, checkpoint(tmp_path / "other", seed=1), limit=3, overwrite=True))
    assert len(read_addresses(inputs / "out" / ADDRESSES)[0]) == 3  # another memory: the old answers are none of its


def test_broken_addresses_are_named(inputs, model):
    run(config(inputs, model, limit=1))
    (inputs / "out" / ADDRESSES).write_bytes(b"text")
    assert run(config(inputs, model, limit=1)).skipped == 1
    with pytest.raises(FaceVCError, match=r"addresses\.safetensors: not the addresses.*Remove"):
        run(config(inputs, model, limit=2))


def test_names_of_systems(inputs, model, tmp_path):
    run(config(inputs, model, limit=2, baselines=("source",)))
    assert {row["system"] for row in lines(inputs)} == {"toy"}
    renamed = run(config(inputs, model, limit=2, system="ours"))
    assert renamed.skipped == 2 and {row["system"] for row in lines(inputs)} == {"ours"} and len(lines(inputs)) == 4
    run(config(inputs, model, limit=3, baselines=("source",)))  # without a name: as its finished rows have it
    assert {row["system"] for row in lines(inputs)} == {"ours"} and len(lines(inputs)) == 6
    run(config(inputs, checkpoint(tmp_path / "other", seed=1), limit=3, system="theirs", overwrite=True))
    assert len(lines(inputs, system="theirs")) == 3 and {row["system"] for row in lines(inputs, baseline="")} == {
        "theirs"
    }


def test_rows_of_files_made_from_something_else_go(inputs, model, tmp_path):
    run(config(inputs, model, limit=2, baselines=("shuffled-faces", "mean-face"), system="a"))
    run(config(inputs, checkpoint(tmp_path / "other", seed=1), limit=2, system="b", overwrite=True))
    assert {row["baseline"] for row in lines(inputs, system="a")} == {
        "mean-face"
    }  # the shuffled ones named files that are b's now
    assert len(lines(inputs, system="b")) == 2


def test_other_settings_are_refused(inputs, model):
    asked = dict(baselines=("mean-face", "voice"), degrade=("blur=1",), limit=4)
    run(config(inputs, model, **asked))
    recording(inputs / "real" / "ann.wav", 0.25)
    with pytest.raises(FaceVCError, match=r"baselines/voice/one__ann\.wav is there already.*--overwrite"):
        run(config(inputs, model, **asked))
    with pytest.raises(FaceVCError, match=r"baselines/mean-face/one__mean-face\.wav is there already"):
        run(config(inputs, model, **{**asked, "limit": 3, "baselines": ("mean-face",)}))
    before = (inputs / "out" / "baselines" / "voice" / "one__ann.wav").read_bytes()
    assert run(config(inputs, model, overwrite=True, **asked)).done == 4 + 4 + 1 + 3
    assert (inputs / "out" / "baselines" / "voice" / "one__ann.wav").read_bytes() != before


def test_a_stopped_run_goes_on(inputs, model, monkeypatch):
    asked = config(inputs, model, baselines=ALL, degrade=("blur=1",))
    speak, spoken = Converter.speak_many, []

    def dying(self, pairs):
        if len(spoken) == 10:
            raise KeyboardInterrupt
        spoken.append(1)
        return speak(self, pairs)

    monkeypatch.setattr(Converter, "speak_many", dying)
    with pytest.raises(KeyboardInterrupt):
        run(asked)
    assert {row["source_id"] for row in lines(inputs)} == {"one"}  # one source after the other
    monkeypatch.setattr(Converter, "speak_many", speak)
    rest = run(asked)
    assert rest.skipped == 10 and rest.failures == [] and len(read_addresses(inputs / "out" / ADDRESSES)[0]) == 4
    assert len(lines(inputs)) == 8 + 8 * 4 + 6 + 8 and {row["status"] for row in lines(inputs)} == {"done"}


def test_each_source_is_analysed_once(inputs, model, monkeypatch):
    hear, heard = Converter.hear, []
    monkeypatch.setattr(
        Converter, "hear", lambda self, source, *rest: (heard.append(source.stem), hear(self, source, *rest))[1]
    )
    run(config(inputs, model, baselines=ALL, degrade=("blur=1", "jpeg=50")))
    assert heard == ["one", "two"]


def test_a_dry_run(inputs, model):
    reporter = Notes()
    asked = config(inputs, model, limit=2, baselines=("mean-face", "source"), degrade=("blur=1",))
    summary = run(replace(asked, conversions=replace(asked.conversions, dry_run=True)), reporter)
    out = inputs / "out"
    assert summary.data["conversions"] == 5 and not out.exists()
    source, blurred = f"{inputs}/wavs/one.wav", f"{inputs}/faces/ann/1.png degraded by blur=1"
    assert summary.data["planned"][2:4] == [
        {"source": source, "target": "mean of 2 faces", "converted": f"{out}/baselines/mean-face/one__mean-face.wav"},
        {"source": source, "target": blurred, "converted": f"{out}/degraded/blur=1/one__ann-1.wav"},
    ]


PROTOCOL = "sources: {speakers: 1, utterances: 1}\ntargets: {people: 1, images: 1}\nreferences: {least: 1, most: 1}\n"


def test_a_protocol_draws(inputs, model):
    (inputs / "small.yaml").write_text(PROTOCOL)
    write_table(inputs / "sources.csv", [{"source_id": "one", "gender": "m"}, {"source_id": "two", "gender": "f"}])
    more = read_table(inputs / "labels.csv")
    more[2]["references"] += "|real/ann.wav"
    write_table(inputs / "labels.csv", more)
    asked = dict(protocol=str(inputs / "small.yaml"), sources_table=inputs / "sources.csv")
    assert run(config(inputs, model, baselines=("shuffled-faces",), **asked)).done == 4
    own = lines(inputs, baseline="")
    assert {row["target"] for row in own} in ({"ann", "cem"}, {"bea", "cem"})  # dan has no reference
    assert {row["source_gender"] for row in own} == {"m", "f"}
    assert all(row["references"].count("|") == 0 and row["references"] for row in own)
    seeds = set()
    for seed in (0, 9):
        shutil.rmtree(inputs / "out")
        run(config(inputs, model, limit=1, seed=seed, **asked))
        seeds.add(lines(inputs)[0]["target"])
    assert seeds == {"ann", "bea"}


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"labels": None}, UsageError, "--labels TABLE.csv and --sources TABLE.csv"),
        ({"sources_table": None}, UsageError, "--labels TABLE.csv and --sources TABLE.csv"),
        ({"pairs": "labels.csv"}, UsageError, "Leave one of the two out"),
        ({"protocol": "nowhere"}, FaceVCError, "--protocol 'nowhere'"),
        ({"labels": "sources.csv"}, FaceVCError, "target is missing"),
        ({"sources_table": "labels.csv"}, FaceVCError, "source_id is missing"),
        ({}, FaceVCError, "cannot fill it"),
        ({"protocol": None, "degrade": ("smear=1",)}, UsageError, "kind one of"),
        ({"protocol": None, "baselines": ("other",)}, UsageError, "expected one of shuffled-faces"),
    ],
)
def test_what_does_not_go_together(inputs, model, changes, kind, reason, monkeypatch):
    monkeypatch.setattr(Converter, "__init__", None)  # any work would be a TypeError
    (inputs / "small.yaml").write_text(PROTOCOL)
    given = {"protocol": str(inputs / "small.yaml"), "sources_table": inputs / "sources.csv", **changes}
    given |= {
        name: inputs / given[name] for name in ("labels", "sources_table", "pairs") if isinstance(given.get(name), str)
    }
    with pytest.raises(kind, match=reason):
        run(config(inputs, model, **given))
    assert not (inputs / "out").exists()


def test_keys_are_those_of_earlier_versions(inputs, model):
    """So that a folder converted before is gone on with."""
    naming = Naming(inputs / "out")
    job = collect_jobs(plan_conversions([inputs / "wavs"], [inputs / "faces"], [], naming, limit=1), naming)[0]
    content = hash_file(model / "model.safetensors") + hash_file(model / "config.yaml")
    parts = (
        f"{content} griffin-lim {(None, 'largest')} {hash_file(job.source.path)} "
        f"{hash_file(job.voice_spec.files[0])} face"
    )
    assert (
        make_job_keys([job], model, "griffin-lim", None, "largest")[job]
        == hashlib.sha256(parts.encode()).hexdigest()[:16]
    )


def test_manifests_of_earlier_versions_are_read(inputs, model):
    run(config(inputs, model, labels=None))
    old = (
        "converted",
        "status",
        "source",
        "source_id",
        "face",
        "voice",
        "face_id",
        "target",
        "seconds",
        "model",
        "vocoder",
        "key",
        "reason",
    )
    write_table(inputs / "out" / MANIFEST, lines(inputs), old)
    assert run(config(inputs, model, baselines=("source",))).skipped == 8
    assert {row["system"] for row in lines(inputs)} == {"toy"} and len(lines(inputs)) == 16
    write_table(inputs / "out" / MANIFEST, [{"a": 1}])
    with pytest.raises(FaceVCError, match="converted, status, key are missing"):
        Manifest(inputs / "out")
