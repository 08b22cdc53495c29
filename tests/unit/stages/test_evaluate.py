"""`evaluate` on planted systems: sounds whose voice is known, judged by their spectrum."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation import figures, listening
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.cache import CACHE_FOLDER
from facevc_cli.evaluation.listening import Judges
from facevc_cli.evaluation.metrics.gender import LinearGenderJudge, PitchGenderJudge
from facevc_cli.evaluation.metrics.intelligibility import Transcript
from facevc_cli.evaluation.report import plots
from facevc_cli.files.audio import save_audio
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.stages.evaluate import EvaluateConfig, run

RATE = 16000
TARGETS = {"anna": "female", "berta": "female", "carl": "male", "dora": "female", "emil": "male", "fritz": "male"}
SOURCES = {"s1": "male", "s2": "female"}


class SpectrumEmbedder:
    """64 bands of the mean magnitude spectrum above 1 kHz: a voice is where its energy lies."""

    calls = 0

    def embed(self, wav: np.ndarray) -> np.ndarray:
        SpectrumEmbedder.calls += 1
        bands = np.abs(np.fft.rfft(wav, RATE))[1000:7400].reshape(64, 100).mean(1)
        return (bands / np.linalg.norm(bands)).astype(np.float32)


class EchoRecogniser:
    """Understands every file as the same words."""

    name = "echo"
    languages: list[str | None] = []  # noqa: RUF012

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript:
        self.languages.append(language)
        return Transcript("two words", language or "de")


class LoudnessJudge:
    name = "loudness"

    def score(self, wav: np.ndarray) -> float:
        return 3.0


def sound(name: str, gender: str, take: int = 0) -> np.ndarray:
    """Half a second: a pulse train at a man's or woman's pitch, and a person's own bands."""
    rng = np.random.default_rng([ord(c) for c in name])
    time = np.arange(RATE // 2) / RATE
    f0 = 220.0 if gender == "female" else 110.0
    low = sum(np.sin(2 * np.pi * f0 * k * time + 0.3 * take) for k in range(1, 5))
    high = sum(np.sin(2 * np.pi * hz * time + take) for hz in rng.uniform(1100, 7300, 6))
    return (0.08 * low + 0.1 * high).astype(np.float32)


def plant(folder, system: str, heard_as, images: int = 2) -> list[dict[str, str]]:
    """Converted files of one system: `heard_as(source, target, image)` says whose (name, gender) voice comes out."""
    rows = []
    for source in SOURCES:
        for target, gender in TARGETS.items():
            for image in range(images):
                name = f"{system}/{source}__{target}-{image}.wav"
                (folder / system).mkdir(parents=True, exist_ok=True)
                save_audio(folder / name, sound(*heard_as(source, target, image), take=image + 1), RATE)
                rows.append(
                    {
                        "system": system,
                        "converted": name,
                        "source": f"{source}.wav",
                        "source_id": source,
                        "face": f"{target}/{image}.jpg",
                        "target": target,
                        "gender": gender,
                        "source_gender": SOURCES[source],
                        "references": f"{target}-r1.wav|{target}-r2.wav",
                        "transcript": "two words",
                        "status": "done",
                    }
                )
    return rows


def random_person(source: str, target: str, image: int) -> tuple[str, str]:
    return f"{source}{target}{image}", "female" if (len(target) + image) % 2 else "male"


SYSTEMS = {
    "perfect": lambda source, target, image: (target, TARGETS[target]),
    "one-voice": lambda source, target, image: ("everyone", "male"),
    "unchanged": lambda source, target, image: (source, SOURCES[source]),
    "random": random_person,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    for source, gender in SOURCES.items():
        save_audio(folder / f"{source}.wav", sound(source, gender), RATE)
    for target, gender in TARGETS.items():
        for take in (1, 2):
            save_audio(folder / f"{target}-r{take}.wav", sound(target, gender, take + 5), RATE)
    write_table(
        folder / "manifest.csv", [row for name, heard_as in SYSTEMS.items() for row in plant(folder, name, heard_as)]
    )
    return folder


def judges(**more) -> Judges:
    return Judges(SpectrumEmbedder(), "spectrum", PitchGenderJudge(), **more)


def values(systems: dict, name: str) -> dict[str, float]:
    return {metric: figure["value"] for metric, figure in systems[name].items()}


def test_planted_systems_land_where_theory_says(planted, tmp_path):
    summary = run(
        EvaluateConfig(manifest=planted, output=tmp_path, html=False),
        judges=judges(recogniser=EchoRecogniser(), naturalness=LoudnessJudge()),
    )
    systems = summary.data["systems"]
    assert list(systems) == list(SYSTEMS) and not summary.failures
    perfect, one, unchanged, chance = (values(systems, name) for name in SYSTEMS)
    assert perfect["SHO"] > 0.95 and perfect["SHR"] == 1 and perfect["SDO"] < 0.6 and perfect["SDR"] > 0.9
    assert perfect["GA"] == 1 and perfect["consistency"] > 0.95 > perfect["consistency control"] + 0.3
    assert perfect["matching"] == 1 and perfect["F0 deviation"] < 2 and perfect["leakage"] < 0.6
    assert one["SHO"] > 0.95 and one["SDO"] > 0.95 and one["SDR"] == 0 and one["GA"] == 0.5
    assert one["matching"] == pytest.approx(0.5, abs=0.25)
    assert unchanged["SDO"] > 0.95 and unchanged["leakage"] > 0.95 and unchanged["GA"] == 0.5
    assert unchanged["consistency"] == pytest.approx(perfect["consistency source"], abs=0.05)
    assert chance["SHO"] == pytest.approx(chance["SDO"], abs=0.2) and chance["SHR"] < 0.3
    assert (
        perfect["leakage source"] == pytest.approx(1.0)
        and perfect["WER"] == perfect["CER"] == 0
        and perfect["naturalness"] == 3
    )
    assert systems["perfect"]["SHO"]["n"] == 12 and systems["perfect"]["SDO"]["n"] == 2 * 15 * 4
    assert systems["perfect"]["GA"] == {"value": 1.0, "n": 24, "low": 1.0, "high": 1.0}
    low, high = (systems["one-voice"]["GA"][key] for key in ("low", "high"))
    assert low < 0.5 < high


def test_report_files_agree_with_the_summary(planted, tmp_path):
    summary = run(
        EvaluateConfig(manifest=planted / "manifest.csv", output=tmp_path / "new", html=False), judges=judges()
    )
    stored = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert stored == summary.data
    with open(tmp_path / "new" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["system", "slice", "metric", "value", "n", "low", "high"]
    assert {row["slice"] for row in rows} == {"all", "F>F", "F>M", "M>F", "M>M"}
    ga = next(row for row in rows if (row["system"], row["slice"], row["metric"]) == ("one-voice", "M>F", "GA"))
    assert float(ga["value"]) == 0.0 and ga["n"] == "6"


def test_swapped_gender_column_is_caught(planted):
    rows = [row for row in read_table(planted / "manifest.csv") if row["system"] == "perfect"]
    for row in rows:
        row["gender"] = "male" if row["gender"] == "female" else "female"
    write_table(planted / "swapped.csv", rows)
    assert (
        run(EvaluateConfig(manifest=planted / "swapped.csv"), judges=judges()).data["systems"]["perfect"]["GA"]["value"]
        == 0
    )


def test_second_run_hears_nothing_again_and_says_the_same(planted):
    first = run(EvaluateConfig(manifest=planted, seed=7), judges=judges(recogniser=EchoRecogniser()))
    calls, read = SpectrumEmbedder.calls, len(EchoRecogniser.languages)
    second = run(EvaluateConfig(manifest=planted, seed=7), judges=judges(recogniser=EchoRecogniser()))
    assert (SpectrumEmbedder.calls, len(EchoRecogniser.languages)) == (calls, read)
    assert second.done == 0 and second.skipped == first.done + first.skipped and second.data == first.data
    assert (planted / CACHE_FOLDER).is_dir() and set(EchoRecogniser.languages) == {None, "de"}


def bare(folder, rows, columns=("converted", "target")):
    for row in rows:
        save_audio(folder / row["converted"], sound(row["target"], "male"), RATE)
    write_table(folder / "manifest.csv", rows, columns)
    return folder


def test_missing_columns_switch_metrics_off_with_a_note(tmp_path):
    folder = bare(
        tmp_path,
        [{"converted": f"{t}.wav", "target": t, "source": "gone"} for t in "abc"],
        ("converted", "target", "source_id"),
    )
    write_table(folder / "manifest.csv", [{"converted": f"{t}.wav", "target": t, "source_id": "s"} for t in "abc"])
    data = run(EvaluateConfig(manifest=folder), judges=judges()).data
    assert set(data["systems"]["facevc"]) == {"SDO", "SDR"} and data["slices"]["facevc"] == {}
    notes = "\n".join(data["notes"])
    assert all(f"{word} " in notes for word in ("SHO", "GA", "consistency,", "leakage"))
    assert "control" not in notes and "nan" not in json.dumps(data).lower()


def test_labels_and_sources_are_joined(tmp_path):
    folder = bare(
        tmp_path,
        [{"converted": f"{t}.wav", "target": t, "source_id": "s"} for t in "abc"],
        ("converted", "target", "source_id"),
    )
    people = tmp_path / "people"
    people.mkdir()
    save_audio(people / "real.wav", sound("a", "male", 3), RATE)
    known = [{"target": "a", "gender": "M", "references": "real.wav"}, {"target": "b", "gender": "f", "references": ""}]
    write_table(people / "labels.csv", known)
    write_table(people / "sources.csv", [{"source_id": "s", "gender": "female", "transcript": "two words more"}])
    config = EvaluateConfig(manifest=folder, labels=people / "labels.csv", sources=people / "sources.csv")
    data = run(config, judges=judges(recogniser=EchoRecogniser())).data
    figures = data["systems"]["facevc"]
    assert figures["GA"]["value"] == 0.5 and figures["GA"]["n"] == 2 and figures["consistency"]["n"] == 1
    assert figures["WER"]["value"] == pytest.approx(1 / 3) and set(data["slices"]["facevc"]) == {"F>M", "F>F"}
    assert any("no gender" in note and "c" in note for note in data["notes"])
    write_table(people / "labels.csv", [{"target": "somebody", "gender": "male"}])
    with pytest.raises(FaceVCError, match="somebody"):
        run(config, judges=judges())


def test_broken_files_are_listed_and_the_rest_goes_on(tmp_path):
    folder = bare(tmp_path, [{"converted": f"{t}.wav", "target": t, "source_id": "s"} for t in "abcd"])
    (folder / "a.wav").write_bytes(b"RIFF broken")
    (folder / "b.wav").unlink()
    rows = [{"converted": f"{t}.wav", "target": t, "source_id": "s", "status": "done"} for t in "abcd"]
    write_table(
        folder / "manifest.csv", [*rows, {"converted": "e.wav", "target": "e", "source_id": "s", "status": "failed"}]
    )
    summary = run(EvaluateConfig(manifest=folder), judges=judges())
    assert sorted(name.rsplit("/")[-1] for name, _ in summary.failures) == ["a.wav", "b.wav"]
    assert summary.data["systems"]["facevc"]["SDO"] | {"value": 0} == {"value": 0, "n": 1, "low": None, "high": None}
    assert summary.data["excluded"] == 1 and "1 of 5 rows" in summary.data["notes"][0]


def test_nothing_to_evaluate_is_an_error(tmp_path):
    write_table(tmp_path / "manifest.csv", [{"converted": "a.wav", "target": "a", "status": "failed"}])
    with pytest.raises(FaceVCError, match="found none in 1 rows"):
        run(EvaluateConfig(manifest=tmp_path), judges=judges())
    write_table(tmp_path / "manifest.csv", [{"converted": "a.wav", "target": "a", "status": "done"}])
    with pytest.raises(FaceVCError, match="none of its 1"):
        run(EvaluateConfig(manifest=tmp_path), judges=judges())
    write_table(tmp_path / "manifest.csv", [{"file": "a.wav"}])
    with pytest.raises(FaceVCError, match="converted"):
        run(EvaluateConfig(manifest=tmp_path), judges=judges())


@pytest.mark.parametrize("option", ["output", "listening_test"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_heard(tmp_path, option):
    write_table(tmp_path / "manifest.csv", [{"converted": "a.wav", "target": "a", "status": "done"}])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FaceVCError, match=r"notes\.txt.* could not be written: .*A file has the name"):
        run(EvaluateConfig(manifest=tmp_path, **{option: tmp_path / "notes.txt" / "test.html"}), judges=None)


def test_threshold_from_a_table(planted):
    rows = [{"file": f"{target}-r{take}.wav", "speaker": target} for target in TARGETS for take in (1, 2)]
    write_table(planted / "real.csv", [*rows, {"file": "gone.wav", "speaker": "x"}])
    summary = run(EvaluateConfig(manifest=planted, calibrate=planted / "real.csv"), judges=judges())
    found = summary.data["threshold"]
    assert (found["same"], found["different"], found["eer"]) == (6, 60, 0.0) and "real.csv" in found["origin"]
    assert summary.data["systems"]["perfect"]["SHR"]["value"] == summary.data["systems"]["perfect"]["SDR"]["value"] == 1
    assert [name for name, _ in summary.failures] == [str(planted / "gone.wav")]


def test_limit_takes_the_first_rows(planted):
    assert list(run(EvaluateConfig(manifest=planted, limit=24), judges=judges()).data["systems"]) == ["perfect"]


def test_systems_are_compared_over_the_same_conversions(planted):
    data = run(EvaluateConfig(manifest=planted), judges=judges()).data
    assert list(data["differences"]) == [f"{a} - {b}" for i, a in enumerate(SYSTEMS) for b in list(SYSTEMS)[i + 1 :]]
    found = data["differences"]["perfect - one-voice"]
    assert (
        found["GA"]["value"] == 0.5
        and found["GA"]["n"] == 24
        and found["SDO"]["n"] == 2 * 15 * 4
        and found["SDO"]["high"] < -0.3
    )
    assert found["consistency"]["low"] > 0.2 and not [name for name in found if name.endswith((" source", " control"))]


def test_baselines_and_degradations_are_compared_with_their_own_system(planted):
    rows = [row for row in read_table(planted / "manifest.csv") if row["system"] in ("perfect", "one-voice")]
    for row in rows:
        named = row["system"] == "one-voice"
        row |= {"system": "ours", "baseline": "mean-face" if named else "", "degradation": ""}
    blurred = [
        row | {"degradation": "blur=4", "status": "failed" if row["face"].startswith("anna") else "done"}
        for row in rows
        if not row["baseline"]
    ]
    gone = [row | {"degradation": "dark=9", "status": "failed"} for row in rows if not row["baseline"]]
    write_table(planted / "changed.csv", [*rows, *blurred, *gone])
    data = run(EvaluateConfig(manifest=planted / "changed.csv"), judges=judges()).data
    assert list(data["systems"]) == ["ours", "ours/mean-face", "ours/blur=4"]
    assert list(data["differences"]) == ["ours/mean-face - ours", "ours/blur=4 - ours"] and data["lost"] == {
        "ours/blur=4": 4,
        "ours/dark=9": 24,
    }
    table = data["degradations"]["ours"]
    assert (table["blur=4"]["lost"], table["blur=4"]["rows"], table["dark=9"]["lost"], table["dark=9"]["figures"]) == (
        4,
        24,
        24,
        {},
    )
    assert table["blur=4"]["figures"]["GA"]["n"] == 20 and set(table["blur=4"]["differences"]) == {
        "GA",
        "consistency",
        "SHO",
    }
    assert table["blur=4"]["differences"]["GA"] == {
        "value": 0.0,
        "n": 20,
        "low": 0.0,
        "high": 0.0,
    }  # the lost person is not in it
    assert data["differences"]["ours/mean-face - ours"]["GA"]["value"] == -0.5


def test_slices_by_a_column_and_by_none_that_there_is(planted):
    rows = [
        row | {"age": "20s" if row["target"] < "c" else "40s", "empty": ""}
        for row in read_table(planted / "manifest.csv")
    ]
    write_table(planted / "ages.csv", rows)
    data = run(
        EvaluateConfig(manifest=planted / "ages.csv", by=("age", "source_gender", "empty")), judges=judges()
    ).data
    assert set(data["slices"]["perfect"]) == {
        "F>F",
        "F>M",
        "M>F",
        "M>M",
        "age=20s",
        "age=40s",
        "source_gender=female",
        "source_gender=male",
    }
    young, old = (data["slices"]["one-voice"][f"age={age}"] for age in ("20s", "40s"))
    assert (young["GA"]["value"], young["GA"]["n"], old["GA"]["value"], old["GA"]["n"]) == (0.0, 8, 0.75, 16)
    assert (
        young["SDO"]["n"] == 2 * 4
        and old["SDO"]["n"] == 2 * 6 * 4
        and "figures by empty are off: the column is empty" in data["notes"]
    )
    with pytest.raises(UsageError, match="--by height: .*There are: .*age, empty"):
        run(EvaluateConfig(manifest=planted / "ages.csv", by=("height",)), judges=judges())


def test_parallel_recordings_give_the_distortion(planted, tmp_path):
    rows = [row for row in read_table(planted / "manifest.csv") if row["system"] == "perfect"][:6]
    for i, row in enumerate(rows):
        row["parallel"] = row["converted"] if i < 3 else "fritz-r1.wav" if i < 5 else ""
    write_table(planted / "parallel.csv", rows)
    data = run(EvaluateConfig(manifest=planted / "parallel.csv"), judges=judges()).data
    found = data["systems"]["perfect"]["MCD"]
    assert found["n"] == 5 and found["value"] > 1 and not any(note.startswith("MCD") for note in data["notes"])
    rows[3]["parallel"] = "gone.wav"
    write_table(planted / "parallel.csv", rows[:4])
    summary = run(EvaluateConfig(manifest=planted / "parallel.csv"), judges=judges())
    assert summary.data["systems"]["perfect"]["MCD"] | {"low": 0, "high": 0} == {
        "value": 0.0,
        "n": 3,
        "low": 0,
        "high": 0,
    }
    assert len(summary.failures) == 1 and "gone.wav" in summary.failures[0][0]


def test_without_librosa_the_distortion_is_off_and_a_note_says_what_to_install(planted, monkeypatch):
    rows = [
        dict(row, parallel=row["converted"])
        for row in read_table(planted / "manifest.csv")
        if row["system"] == "perfect"
    ][:6]
    write_table(planted / "parallel.csv", rows)
    for module in (figures, listening):
        monkeypatch.setattr(module, "is_distortion_available", lambda: False)
    data = run(EvaluateConfig(manifest=planted / "parallel.csv"), judges=judges()).data
    assert "MCD" not in data["systems"]["perfect"]
    assert [note for note in data["notes"] if note.startswith("MCD")] == [
        "MCD is off: it needs librosa and scipy. Install them with 'pip install \"facevc[eval]\"'"
    ]


def test_without_matplotlib_the_page_has_no_plots_and_a_note_says_what_to_install(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "are_installed", lambda *names: False)
    data = run(EvaluateConfig(manifest=planted, output=tmp_path / "out"), judges=judges()).data
    note = "the page has no plots: they need matplotlib and scipy. Install them with 'pip install \"facevc[eval]\"'"
    assert data["notes"].count(note) == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="plots"' not in page and "the page has no plots" in page and "SHO" in page
    without_page = run(EvaluateConfig(manifest=planted, html=False), judges=judges()).data
    assert not any("no plots" in said for said in without_page["notes"])


def test_another_speaker_judge_has_no_threshold_until_one_is_measured(planted):
    other = replace(judges(), threshold=None)
    data = run(EvaluateConfig(manifest=planted), judges=other).data
    assert (
        data["threshold"] is None
        and not {"SHR", "SDR"} & set(data["systems"]["perfect"])
        and "SHO" in data["systems"]["perfect"]
    )
    assert any(note.startswith("SHR and SDR are off") and "--calibrate" in note for note in data["notes"])
    write_table(
        planted / "real.csv",
        [{"file": f"{target}-r{take}.wav", "speaker": target} for target in TARGETS for take in (1, 2)],
    )
    assert (
        run(EvaluateConfig(manifest=planted, calibrate=planted / "real.csv"), judges=other).data["systems"]["perfect"][
            "SHR"
        ]["value"]
        == 1
    )


def test_the_packaged_gender_judge_gets_resemblyzers_vectors_whoever_compares_voices(planted, monkeypatch):
    asked = []

    class Dvectors:
        def embed(self, wav: np.ndarray) -> np.ndarray:
            asked.append(len(wav))
            return np.array([1, 0, 0], np.float32)

    monkeypatch.setattr(listening, "load_speaker_judge", lambda name: Dvectors())
    # a man's voice, whatever the pitch
    weights = LinearGenderJudge(np.array([-1000.0, 0, 0, 0]), 0.0, "first of three")
    summary = run(EvaluateConfig(manifest=planted, limit=6, html=False), judges=replace(judges(), gender=weights))
    assert summary.data["systems"]["perfect"]["GA"] | {"low": 0, "high": 0} == {
        "value": 1 / 3,
        "n": 6,
        "low": 0,
        "high": 0,
    }
    assert len(asked) == 6 and summary.data["systems"]["perfect"]["consistency"]["value"] > 0.9


class Blind:
    """Hears one voice in everything."""

    def embed(self, wav: np.ndarray) -> np.ndarray:
        return np.array([0.6, 0.8], np.float32)


def test_independent_judges_stand_beside_the_first_in_every_file(planted, tmp_path):
    heard = judges(independent={"voicefilter": SpectrumEmbedder(), "campplus": Blind()})
    data = run(EvaluateConfig(manifest=planted, output=tmp_path), judges=heard).data
    assert data["independent_judges"] == ["voicefilter", "campplus"]
    found = data["systems"]["perfect"]
    for name in ("consistency", "consistency control", "consistency ceiling", "consistency source", "leakage"):
        assert found[f"voicefilter {name}"]["value"] == pytest.approx(found[name]["value"], abs=1e-6)
        assert found[f"campplus {name}"]["value"] == pytest.approx(1, abs=1e-6)
    assert 0.9 < found["consistency ceiling"]["value"] <= 1 and "campplus leakage source" not in found
    assert data["better"]["campplus leakage"] == "lower" and data["better"]["campplus consistency ceiling"] == ""
    assert data["differences"]["perfect - random"]["campplus consistency"]["value"] == pytest.approx(0, abs=1e-6)
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert {"voicefilter consistency", "campplus leakage"} <= {row["metric"] for row in csv.DictReader(file)}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "voicefilter consistency ceiling" in page and "As leakage, by the judge campplus." in page


def test_answers_join_the_figures_and_the_test_is_written(planted, tmp_path, monkeypatch):
    from facevc_cli.evaluation import listening_study as asking

    written = []
    monkeypatch.setattr(
        asking,
        "write_listening_test",
        lambda conversions, path, *, items, seed, kinds: written.append((path, items, seed, kinds)) or ["a note"],
    )
    monkeypatch.setattr(
        asking,
        "read_answers",
        lambda paths, conversions: {"perfect": {"CPR": Figure(0.9, 10, 0.8, 1.0), "MOS": Figure(4.0, 5, None, None)}},
    )
    config = EvaluateConfig(
        manifest=planted, listening_test=tmp_path / "ask.html", listening_items=7, seed=3, answers=(tmp_path / "a.csv",)
    )
    data = run(config, judges=judges()).data
    assert (
        written == [(tmp_path / "ask.html", 7, 3, ("MOS", "CPR"))]
        and data["listening"]["perfect"]["MOS"]["value"] == 4.0
    )
    assert list(data["systems"]["perfect"])[-2:] == ["MOS", "CPR"] and "MOS" not in data["systems"]["random"]


def test_the_page_is_written_unless_not_wanted(planted, tmp_path):
    run(EvaluateConfig(manifest=planted, output=tmp_path / "with", limit=24, grid=1), judges=judges())
    run(EvaluateConfig(manifest=planted, output=tmp_path / "without", limit=24, html=False), judges=judges())
    assert (
        "<html" in (tmp_path / "with" / "report.html").read_text(encoding="utf-8")
        and not (tmp_path / "without" / "report.html").exists()
    )
