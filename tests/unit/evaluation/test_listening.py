"""Judging in several processes: the same answers as in one, a bad file one failed row, an interrupted run resumed."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from facevc_cli.core.engines.base import Engine
from facevc_cli.core.engines.registry import make_engine
from facevc_cli.core.progress import SILENT, SilentReporter, Tally
from facevc_cli.evaluation.judges import Judges, choose_judges
from facevc_cli.evaluation.lending import LentJudge, borrow, lend
from facevc_cli.evaluation.listening import CACHE_VERSION, FEW_FILES, JudgeAnswers
from facevc_cli.evaluation.metrics.intelligibility import Transcript
from facevc_cli.evaluation.metrics.naturalness import is_distillmos_installed
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.files.audio import save_audio
from facevc_cli.manifest.conversion import Conversion

RATE = 16000
FILES = FEW_FILES + 8


def level(wav: np.ndarray) -> int:
    """The number that a file was written with."""
    return round(float(np.abs(wav).max()) * 100)


class Noted:
    """A judge that leaves a line for each time it is made and asked: which process, about what."""

    name = "noted"

    def __init__(self, log: str, bad: int = 0, fatal: int = 0):
        self.made_with = (log, bad, fatal)
        self.log, self.bad, self.fatal = log, bad, fatal
        self.note("made")

    def note(self, text: object) -> None:
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()} {text} {os.environ.get('OMP_NUM_THREADS')}\n")

    def score(self, wav: np.ndarray) -> float:
        number = level(wav)
        self.note(number)
        if number == self.bad:
            raise ValueError("no such sound")
        if number == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return number / 10

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript:
        return Transcript(f"{self.score(wav)} in {language}", language or "de")


class Stubborn(Noted):
    """The same, without saying how another process could make it."""

    def __init__(self, log: str):
        super().__init__(log)
        del self.made_with


class OnGraphics(Noted):
    device = "cuda:0"


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    found = [str(tmp_path / f"{number:02d}.wav") for number in range(1, FILES + 1)]
    for number, path in enumerate(found, 1):
        save_audio(path, np.full(400, number / 100, np.float32), RATE)
    return found


def noted(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def scored(
    paths: list[str], folder: Path, judge: Noted, jobs: int, reporter=SILENT, engine: Engine | None = None
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    tally = Tally(reporter)
    answers = JudgeAnswers(Judges(None, "none"), folder, tally, jobs, engine)
    return answers.score_naturalness(paths, judge), tally.failures


def test_jobs_of_a_cluster_say_what_one_process_says(paths, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    here, failed_here = scored(paths, tmp_path / "one", Noted(str(tmp_path / "log1"), bad=7), 1)
    engine = make_engine("slurm://cluster=debug")
    there, failed_there = scored(paths, tmp_path / "two", Noted(str(tmp_path / "log2"), bad=7), 2, engine=engine)
    assert list(here.items()) == list(there.items()) and failed_here == failed_there and len(failed_here) == 1


def test_several_processes_say_what_one_says_in_the_same_order(paths, tmp_path):
    paths = [*paths, str(tmp_path / "gone.wav"), paths[3]]
    one, failed_one = scored(paths, tmp_path / "one", Noted(str(tmp_path / "log1"), bad=7), 1)
    two, failed_two = scored(paths, tmp_path / "two", Noted(str(tmp_path / "log2"), bad=7), 2)
    assert list(one.items()) == list(two.items()) and failed_one == failed_two
    assert one[paths[0]] == pytest.approx(0.1) and one[paths[-3]] == pytest.approx(FILES / 10) and len(one) == FILES - 1
    assert [Path(name).name for name, _ in failed_two] == ["07.wav", "gone.wav"]
    assert failed_two[0][1] == "naturalness by noted failed on this recording (ValueError: no such sound)."
    name = f"mos-noted-v{CACHE_VERSION}.npz"
    with np.load(tmp_path / "one" / name) as a, np.load(tmp_path / "two" / name) as b:
        assert dict(zip(a["keys"], a["rows"].tolist(), strict=True)) == dict(
            zip(b["keys"], b["rows"].tolist(), strict=True)
        )
    here, there = noted(tmp_path / "log1"), noted(tmp_path / "log2")
    assert {pid for pid, *_ in here} == {str(os.getpid())}
    assert there[0][:2] == [str(os.getpid()), "made"] and str(os.getpid()) not in {pid for pid, *_ in there[1:]}
    workers = [pid for pid, what, _ in there[1:] if what == "made"]
    assert 1 <= len(workers) <= 2 and len(set(workers)) == len(workers)  # once in each process
    assert sorted(int(what) for _, what, _ in there if what != "made") == list(range(1, FILES + 1))


def test_each_process_gets_its_share_of_the_processors(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("facevc_cli.core.engines.local.count_usable_cpus", lambda: 7)
    scored(paths, tmp_path / "cache", Noted(str(tmp_path / "log")), 2)
    assert {threads for _, _, threads in noted(tmp_path / "log")[1:]} == {"3"}


@pytest.mark.slow
def test_a_file_that_kills_its_process_is_one_failed_row(paths, tmp_path):
    found, failed = scored(paths, tmp_path / "cache", Noted(str(tmp_path / "log"), bad=20, fatal=5), 2)
    assert [Path(name).name for name, _ in failed] == [
        "05.wav",
        "20.wav",
    ] and "worked on this item alone died" in failed[0][1]
    assert len(found) == FILES - 2 and found[paths[5]] == pytest.approx(0.6)
    again, failed = scored(paths, tmp_path / "cache", Noted(str(tmp_path / "log2")), 1)
    assert len(again) == FILES and not failed  # failures are not remembered, the rest is
    assert [what for _, what, _ in noted(tmp_path / "log2")] == ["made", "5", "20"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_run_keeps_what_it_heard(paths, tmp_path, jobs):
    class Interrupting(SilentReporter):
        count = 0

        def advance(self, item: str, **figures: float | str) -> None:
            self.count += 1
            if self.count == 10:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(paths, tmp_path / "cache", Noted(str(tmp_path / "log")), jobs, Interrupting())
    with np.load(tmp_path / "cache" / f"mos-noted-v{CACHE_VERSION}.npz") as stored:
        assert len(stored["keys"]) == 10
    found, failed = scored(paths, tmp_path / "cache", Noted(str(tmp_path / "log2")), 1)
    assert len(found) == FILES and not failed and len(noted(tmp_path / "log2")) == 1 + FILES - 10


@pytest.mark.parametrize("kind", [Stubborn, OnGraphics])
def test_a_judge_that_must_stay_is_asked_here(paths, tmp_path, kind):
    judge = kind(str(tmp_path / "log"))
    assert lend(judge) is None and borrow(judge) is judge
    found, _ = scored(paths, tmp_path / "cache", judge, 2)
    assert len(found) == FILES and {pid for pid, *_ in noted(tmp_path / "log")} == {str(os.getpid())}


def test_texts_in_several_processes_know_their_languages(paths, tmp_path):
    sources, converted = paths[:2], paths[1:]  # the second source stands among the conversions, unchanged
    rows = [Conversion("ours", path, sources[i % 2], f"t{i}", "", sources[i % 2]) for i, path in enumerate(converted)]
    heard = {path: HeardVoice(np.ones(1), 1.0, 0.0) for path in paths}
    found = {}
    for jobs in (1, 2):
        judge = Noted(str(tmp_path / f"log{jobs}"))
        found[jobs] = JudgeAnswers(Judges(None, "none"), None, Tally(SILENT), jobs).transcribe(rows, heard, judge)
        assert sum(what == "2" for _, what, _ in noted(tmp_path / f"log{jobs}")) == 1
    assert found[1] == found[2] and list(found[1]) == list(found[2])
    assert found[2][sources[0]] == Transcript("0.1 in None", "de") and found[2][paths[4]] == Transcript(
        "0.5 in de", "de"
    )


def test_a_lent_judge_is_made_once_a_process(tmp_path):
    lent = lend(Noted(str(tmp_path / "log"), 1, 2))
    assert lent == LentJudge(Noted, (str(tmp_path / "log"), 1, 2)) and borrow(lent) is borrow(lent)
    assert len(noted(tmp_path / "log")) == 2 and borrow(lent).bad == 1


class Level:
    """A speaker judge: the number that a file was written with, as a direction."""

    made_with = ()

    def __init__(self, bad: int = 0):
        self.made_with, self.bad = (bad,), bad

    def embed(self, wav: np.ndarray) -> np.ndarray:
        if level(wav) == self.bad:
            raise ValueError("no such voice")
        return np.array([level(wav), 1], np.float32) / np.hypot(level(wav), 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_independent_judges_hear_what_the_first_one_heard_and_remember_it(paths, tmp_path, jobs):
    gone = str(tmp_path / "gone.wav")
    judges = Judges(Level(), "level", independent={"voicefilter": Level(bad=3), "campplus": Level()})
    tally = Tally(SILENT)
    voices, independent = JudgeAnswers(judges, tmp_path / "cache", tally, jobs).hear_all_voices([*paths, gone])
    assert list(voices) == paths and list(independent) == ["voicefilter", "campplus"]
    assert list(independent["campplus"]) == paths and set(paths) - set(independent["voicefilter"]) == {paths[2]}
    heard = independent["campplus"][paths[1]]
    assert heard.embedding.tolist() == pytest.approx([2 / 5**0.5, 1 / 5**0.5], abs=1e-6)
    assert heard.mean_log_f0 == voices[paths[1]].mean_log_f0
    assert [Path(name).name for name, _ in tally.failures] == ["gone.wav", "03.wav"]
    assert tally.failures[1][1] == "listening by voicefilter failed on this recording (ValueError: no such voice)."
    names = {path.name.split("-")[0] for path in (tmp_path / "cache").glob("*.npz")}
    assert names == {"voices", "embeddings"} and len(list((tmp_path / "cache").glob("*.npz"))) == 3
    again = JudgeAnswers(Judges(Level(1), "level", independent={"campplus": Level(1)}), tmp_path / "cache", tally, jobs)
    assert again.hear_all_voices(paths)[1]["campplus"][paths[0]].embedding.tolist() == pytest.approx([0.5**0.5] * 2)


@pytest.mark.skipif(not is_distillmos_installed(), reason="DistillMOS is not installed")
def test_the_judges_that_come_with_it_can_be_lent():
    judge = choose_judges("resemblyzer", "none", None, True, False, []).naturalness
    other = borrow(lend(judge))
    wav = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert other is not judge and other.score(wav) == pytest.approx(judge.score(wav), abs=1e-4)
