"""`facevc evaluate` as a command: its tables or one JSON object on stdout, exit codes."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from facevc_cli.cli.evaluate import evaluate
from facevc_cli.evaluation import judges, listening
from facevc_cli.files.audio import save_audio
from facevc_cli.files.tables import write_table

app = typer.Typer()
app.command()(evaluate)
QUICK = ["--recogniser", "none", "--no-naturalness", "--no-independent-judges", "--no-html"]


class Bands:
    """256 bands of the mean magnitude spectrum."""

    def embed(self, wav: np.ndarray) -> np.ndarray:
        bands = np.abs(np.fft.rfft(wav, 16000))[:7936].reshape(256, 31).mean(1)
        return (bands / np.linalg.norm(bands)).astype(np.float32)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs the command in a folder with three systems of two sources and three targets each, among them a baseline and
    blurred faces.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(listening, "load_speaker_judge", lambda name: Bands())
    rng = np.random.default_rng(0)
    rows = []
    for baseline, degradation in (("", ""), ("mean-face", ""), ("", "blur=4")):
        for source in ("s1", "s2"):
            for target in ("anna", "bert", "carl"):
                name = f"{baseline}{degradation[:4]}-{source}__{target}.wav"
                save_audio(tmp_path / name, rng.normal(0, 0.1, 4000).astype(np.float32), 16000)
                rows.append(
                    {
                        "system": "ours",
                        "converted": name,
                        "target": target,
                        "source_id": source,
                        "baseline": baseline,
                        "degradation": degradation,
                        "gender": "f" if target == "anna" else "m",
                        "source_gender": "f",
                        "group": "x" if target == "carl" else "y",
                        "status": "failed" if degradation and target == "bert" else "done",
                    }
                )
    write_table(tmp_path / "manifest.csv", rows)

    def run(*arguments: str, columns: int | None = 220):
        """columns: None leaves the width to the stream, which is a pipe here."""
        return CliRunner().invoke(app, [*QUICK, *arguments], env={"COLUMNS": columns and str(columns)})

    return run


def test_json_is_alone_on_stdout_and_has_what_is_promised(call):
    found = call("manifest.csv", "--json", "--by", "group")
    assert found.exit_code == 0, found.output
    data = json.loads(found.stdout)
    assert list(data["systems"]) == ["ours", "ours/mean-face", "ours/blur=4"] and set(
        data["systems"]["ours"]["SDO"]
    ) == {"value", "n", "low", "high"}
    assert {"F>F", "F>M", "group=x", "group=y"} == set(data["slices"]["ours"])
    assert list(data["differences"]) == ["ours/mean-face - ours", "ours/blur=4 - ours"] and data["lost"] == {
        "ours/blur=4": 2
    }
    assert (
        data["degradations"]["ours"]["blur=4"]["lost"] == 2
        and data["excluded"] == 2
        and data["threshold"]["theta"] > 0.5
    )
    assert (
        data["gender_judge"]
        and data["speaker_judge"].startswith("resemblyzer")
        and any("SHO and SHR are off" in note for note in data["notes"])
    )


@pytest.mark.parametrize(("columns", "tables"), [(220, 1), (70, 3), (None, 1)])
def test_systems_stand_side_by_side_where_the_terminal_has_room(call, columns, tables):
    text = call("manifest.csv", "-o", "out", columns=columns).stdout
    systems = text[: text.index("ours, by gender")]
    assert systems.count("SDO ") == tables and "ours/mean-face" in systems and "ours/blur=4" in systems
    assert (
        "paired differences" in text
        and "ours/mean-face - ours" in text
        and "damaged faces" in text
        and "2 of 6" in text
    )


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_tables_are_all_that_is_on_stdout(call, quiet):
    found = call("manifest.csv", "-o", "out", *quiet)
    lines = found.stdout.splitlines()
    assert found.exit_code == 0 and lines[0].strip() == "systems" and lines[-1].startswith("gender heard by ")
    assert "threshold" in lines[-2] and "done, " not in found.stdout and "SHO and SHR are off" not in found.stdout
    told = found.stderr
    assert (
        "┃" not in told
        and "gender heard by" not in told
        and ("done, " in told and "SHO and SHR are off" in told) == (not quiet)
    )


def test_independent_judges_hear_too_unless_switched_off(call, monkeypatch):
    class Taken:
        name = package = "taken"
        is_installed = staticmethod(lambda: True)

        def embed(self, wav: np.ndarray) -> np.ndarray:
            return np.array([1.0, 0], np.float32)

    monkeypatch.setattr(judges, "INDEPENDENT", {"campplus": Taken})
    judges.load_speaker_judge.cache_clear()
    found = call("manifest.csv", "--independent-judges", "--json")
    judges.load_speaker_judge.cache_clear()
    assert json.loads(found.stdout)["independent_judges"] == ["campplus"], found.output
    assert call("manifest.csv").stdout.splitlines()[-1].endswith("voices compared by resemblyzer-0.1.4")


def test_a_folder_by_the_names_of_its_files(call):
    data = json.loads(call(".", "--pattern", "mean-face-{source}__{target}.wav", "--json").stdout)
    (figures,) = data["systems"].values()
    assert figures["SDO"]["n"] == 6 and "GA" not in figures


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["manifest.csv", "--by", "height"], 2, "There are: source_id, target"),
        (["manifest.csv", "--speaker-judge", "nobody"], 2, "There are: resemblyzer"),
        ([".", "--pattern", "{source}.wav"], 2, "expected the fields"),
        ([".", "--pattern", "{source}+{target}.wav"], 1, "such as '-s1__anna.wav'"),
        (["elsewhere.csv"], 1, "elsewhere.csv"),
    ],
)
def test_what_is_wrong_is_said_in_a_paragraph(call, arguments, code, words):
    found = call(*arguments)
    assert found.exit_code == code and words in " ".join(found.stderr.split()) and found.stdout == ""
