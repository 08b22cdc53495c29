"""`evaluate` on real sound, from a CSV to its figures: four people and two sources of two formants each."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.planted_voices import PEOPLE, RATE, SPEAKERS, EnvelopeEmbedder, plant_sounds, vowel

from facevc_cli.evaluation.cache import CACHE_FOLDER
from facevc_cli.evaluation.listening import Judges
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.files.audio import save_audio
from facevc_cli.stages.evaluate import EvaluateConfig, run


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    plant_sounds(folder)
    return folder


def evaluate(folder):
    judges = Judges(EnvelopeEmbedder(), "envelope", PitchGenderJudge())
    return run(
        EvaluateConfig(manifest=folder, recogniser="none", naturalness=False), judges=judges
    ), judges.embedder.calls


def test_from_recordings_to_figures_the_perfect_system_beats_the_source(sounds):
    summary, _ = evaluate(sounds)
    assert not summary.failures and list(summary.data["systems"]) == ["perfect", "perfect/source", "copies"]
    assert summary.data["systems"]["copies"] == summary.data["systems"]["perfect/source"]
    perfect, source, _ = (
        {name: part["value"] for name, part in found.items()} for found in summary.data["systems"].values()
    )
    assert perfect["matching"] == 1 and source["matching"] == 0.5  # each source against every target of a gender
    assert perfect["GA"] == 1 and source["GA"] == 0.5
    assert perfect["consistency"] > 0.9 > perfect["consistency control"] + 0.2
    assert (
        source["consistency"] == pytest.approx(perfect["consistency source"])
        and source["consistency"] < perfect["consistency"] - 0.2
    )
    assert perfect["SHO"] > 0.9 > perfect["SDO"] + 0.2 and (source["SHO"], source["SDO"]) == (
        pytest.approx(1),
        pytest.approx(1),
    )
    assert source["leakage"] == pytest.approx(1) and perfect["leakage"] < 0.8
    assert perfect["F0 deviation"] < 3
    f0_gaps = [abs(speaker[0] - person[0]) for speaker in SPEAKERS.values() for person in PEOPLE.values()]
    assert source["F0 deviation"] == pytest.approx(np.mean(f0_gaps), abs=3)
    assert summary.data["systems"]["perfect"]["matching"]["n"] == 16
    lost = summary.data["differences"]["perfect/source - perfect"]
    assert lost["consistency"]["value"] == pytest.approx(source["consistency"] - perfect["consistency"])
    assert lost["consistency"]["high"] < 0 and lost["matching"]["value"] == -0.5
    assert set(summary.data["differences"]["perfect/source - perfect"]) == set(
        summary.data["differences"]["perfect - copies"]
    )


def test_what_was_heard_is_remembered_by_content_wherever_the_files_lie(sounds, tmp_path):
    first, _ = evaluate(sounds)
    # with its cache, with new times
    moved = Path(shutil.copytree(sounds, tmp_path / "elsewhere", copy_function=shutil.copyfile))
    again, calls = evaluate(moved)
    assert calls == 0 and again.data["systems"] == first.data["systems"]
    save_audio(moved / "perfect" / "low-ada-1.wav", vowel(*PEOPLE["ole"], 3), RATE)  # another content under an old name
    changed, calls = evaluate(moved)
    assert calls == 1 and changed.data["systems"]["perfect"]["GA"]["value"] == pytest.approx(15 / 16)


def test_equal_contents_are_heard_once_even_in_the_first_run(sounds, tmp_path):
    copied = Path(shutil.copytree(sounds, tmp_path / "anew", ignore=shutil.ignore_patterns(CACHE_FOLDER)))
    assert evaluate(copied)[1] == 2 * len(PEOPLE) + len(SPEAKERS)  # of the speakers one take is a source
