"""benchmarks/comparison.py: which commands it runs, and how it joins their figures."""

import argparse
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers.repository import ROOT
from helpers.sounds import buzz

from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.files.tables import read_table, write_table


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("common", "comparison"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import comparison

    return comparison


def test_each_system_is_a_command(comparison: ModuleType) -> None:
    given = argparse.Namespace(
        sources="in", faces="faces", labels="l.csv", sources_table="s.csv", checkpoint="model", styles="run"
    )
    systems = comparison.plan_systems(given, Path("voices"), Path("t.csv"))
    assert [" ".join(map(str, command)) for command in systems.values()] == [
        "benchmark in --face faces --labels l.csv --sources s.csv --baseline=source --baseline=mean-face "
        "--checkpoint model",
        "convert in --voice voices --checkpoint model",
        "speak --text t.csv --face faces --how convert --checkpoint model",
        "speak --text t.csv --face faces --how timbre --checkpoint model",
        "speak --text t.csv --face faces --how both --checkpoint model",
        "convert in --face faces --checkpoint run --vocoder griffin-lim",
        "convert in --voice voices --checkpoint run --vocoder griffin-lim",
    ]
    given.checkpoint = given.styles = None
    assert list(comparison.plan_systems(given, Path("voices"), None)) == ["face", "voice"]


def test_the_first_recording_of_a_target_is_its_voice(comparison: ModuleType, tmp_path: Path) -> None:
    for name in ("a1.flac", "a2.flac"):
        (tmp_path / name).write_text(name)
    rows = [{"target": "anna", "references": "a1.flac|a2.flac"}, {"target": "bert", "references": ""}]
    write_table(tmp_path / "labels.csv", rows)
    folder = comparison.link_voices(tmp_path / "labels.csv", tmp_path / "out" / "voices")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"anna.flac": "a1.flac"}
    write_table(tmp_path / "s.csv", [{"source_id": "s1", "transcript": "Hi."}, {"source_id": "s2", "transcript": " "}])
    texts = comparison.write_texts(tmp_path / "s.csv", tmp_path / "texts.csv")
    assert read_table(texts) == [{"id": "s1", "text": "Hi."}]


def test_a_system_and_its_baseline_are_rows(comparison: ModuleType, tmp_path: Path) -> None:
    rows = [
        {"system": system, "slice": part, "metric": metric, "value": value, "low": low, "high": ".97" if low else ""}
        for system, part, metric, value, low in (
            ("starter", "all", "GA", "0.9", "0.8"),
            ("starter", "F>M", "GA", "0.1", "0"),
            ("starter/mean-face", "all", "GA", "0.5", "0.4"),
            ("starter", "all", "naturalness", "4.1", ""),
            ("starter", "all", "CER", "", ""),
        )
    ]
    (tmp_path / "styles-by-face").mkdir()
    write_table(tmp_path / "styles-by-face" / "metrics.csv", rows)
    plain, mean = comparison.read_rows(tmp_path, "styles-by-face")
    assert (plain["system"], plain["MOS"], plain["CER"]) == ("styles by face", 4.1, "")
    assert plain["gender accuracy"] == (0.9, 0.8, 0.97)
    assert (mean["system"], mean["MOS"], mean["gender accuracy"]) == ("mean face", "", (0.5, 0.4, 0.97))


def test_a_copy_has_the_words_and_the_length_of_the_source(comparison: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_audio(tmp_path / "in" / "a.wav", buzz(0.6, 22050), 22050)
    comparison.copy_sources(tmp_path / "in", tmp_path / "out", None)
    copied = tmp_path / "out" / "a__copy.wav"
    assert abs(len(load_audio(copied)[0]) - 0.6 * 22050) < 1000
    before = copied.stat().st_mtime_ns
    comparison.copy_sources(tmp_path / "in", tmp_path / "out", None)
    assert copied.stat().st_mtime_ns == before


def test_a_command_that_fails_ends_the_comparison(comparison: ModuleType, tmp_path: Path) -> None:
    comparison.run([sys.executable, "-c", "raise SystemExit(1)"], tmp_path)  # some inputs failed
    with pytest.raises(SystemExit, match="ended with the exit code 2"):
        comparison.run([sys.executable, "-c", "raise SystemExit(2)"], tmp_path)
    with pytest.raises(SystemExit, match="ended with the exit code 1"):  # all did
        comparison.run([sys.executable, "-c", "raise SystemExit(1)"], tmp_path / "none")
