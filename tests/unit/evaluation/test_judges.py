"""Who listens: speaker judges of other packages, and judges that are there only where they are installed."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Tally
from facevc_cli.evaluation import judges
from facevc_cli.evaluation.judges import PLUGINS, Judges, choose_judges, load_speaker_judge, name_speaker_judge
from facevc_cli.evaluation.listening import CACHE_VERSION, FEW_FILES, JudgeAnswers
from facevc_cli.evaluation.metrics.intelligibility import Transcript, WhisperRecogniser
from facevc_cli.evaluation.metrics.naturalness import is_distillmos_installed
from facevc_cli.files.audio import save_audio

PLUGIN = """
import numpy as np

class Loudness:
    name = "loud & clear"
    def embed(self, wav):
        return np.array([3.0, 4.0 * (len(wav) > 1000)])

class Broken(Loudness):
    def embed(self, wav):
        raise RuntimeError("no such thing")

class Shapeless(Loudness):
    def embed(self, wav):
        return np.zeros((2, 2))

def unloadable():
    raise OSError("weights are gone")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "loudness_judge.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for processes that are spawned
    package = tmp_path / "loudness_judge-2.5.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: loudness-judge\nVersion: 2.5\n")
    names = {"loudness": "Loudness", "broken": "Broken", "shapeless": "Shapeless", "gone": "unloadable"}
    (package / "entry_points.txt").write_text(
        f"[{PLUGINS.group}]\n" + "".join(f"{k} = loudness_judge:{v}\n" for k, v in names.items())
    )
    judges.load_speaker_judge.cache_clear()
    yield tmp_path
    judges.load_speaker_judge.cache_clear()
    sys.modules.pop("loudness_judge", None)


def test_a_judge_of_another_package_is_found_named_and_normalised(plugin):
    assert load_speaker_judge("loudness").embed(np.ones(2000, np.float32)) == pytest.approx([0.6, 0.8])
    assert name_speaker_judge("loudness") == "loudness-2.5-loud-clear"
    found = choose_judges("loudness", "none", None, False, False, [])
    assert found.threshold is None and found.gender_needs_dvectors and not Judges().gender_needs_dvectors


def test_what_is_wrong_with_a_judge_is_said(plugin):
    with pytest.raises(
        UsageError,
        match="--speaker-judge ecapa: .*There are: resemblyzer, voicefilter, campplus, broken, gone, loudness, "
        "shapeless",
    ):
        load_speaker_judge("ecapa")
    with pytest.raises(FaceVCError, match="does not load .*weights are gone"):
        load_speaker_judge("gone")
    with pytest.raises(FaceVCError, match="RuntimeError: no such thing"):
        load_speaker_judge("broken").embed(np.ones(9, np.float32))
    with pytest.raises(FaceVCError, match="found shape \\(2, 2\\) of zeros"):
        load_speaker_judge("shapeless").embed(np.ones(9, np.float32))


class Taken:
    """Stands in for an independent judge."""

    package, install_command, name = "some-package", "'pip install some-package'", "taken-1"
    installed, broken = True, ""

    def __init__(self) -> None:
        if self.broken:
            raise FaceVCError(self.broken)

    @classmethod
    def is_installed(cls) -> bool:
        return cls.installed


@pytest.fixture
def independent(monkeypatch):
    """Two of them."""
    made = {name: type(name, (Taken,), {"name": f"{name}-1"}) for name in ("voicefilter", "campplus")}
    monkeypatch.setattr(judges, "INDEPENDENT", made)
    judges.load_speaker_judge.cache_clear()
    yield made
    judges.load_speaker_judge.cache_clear()


def test_an_independent_judge_that_is_missing_or_damaged_is_left_out_and_said_once(independent):
    independent["voicefilter"].installed, independent["campplus"].broken = False, "weights are damaged"
    notes: list[str] = []
    assert not choose_judges("resemblyzer", "none", None, False, True, notes).independent
    assert notes == [
        "similarities by voicefilter are off: some-package is not installed ('pip install some-package')",
        "similarities by campplus are off: weights are damaged",
    ]
    with pytest.raises(FaceVCError, match="weights are damaged"):
        choose_judges("campplus", "none", None, False, False, [])


def test_independent_judges_hear_beside_the_main_one_unless_not_wanted(independent):
    assert list(choose_judges("resemblyzer", "none", None, False, True, []).independent) == ["voicefilter", "campplus"]
    found = choose_judges("campplus", "none", None, False, True, [])
    assert list(found.independent) == ["voicefilter"] and found.name == "campplus-1" and found.threshold is None
    assert found.gender_needs_dvectors
    assert not choose_judges("resemblyzer", "none", None, False, False, []).independent


@pytest.mark.parametrize("files", [2, FEW_FILES + 1])
def test_it_listens_in_this_process_and_in_others(plugin, files):
    paths = [str(plugin / f"{i}.wav") for i in range(files)]
    for i, path in enumerate(paths):
        save_audio(path, np.full(2000 if i else 900, 0.1 + i / 100, np.float32), 16000)
    heard = JudgeAnswers(
        Judges(speaker="loudness", name="loudness"), plugin / "cache", Tally(SILENT), jobs=2
    ).hear_voices(paths)
    assert len(heard) == files and heard[paths[0]].embedding.tolist() == [1, 0]
    assert all(heard[path].embedding == pytest.approx([0.6, 0.8]) for path in paths[1:])
    assert [path.name for path in (plugin / "cache").iterdir()] == [f"voices-loudness-v{CACHE_VERSION}.npz"]


def test_judges_that_are_not_installed_are_said_once(monkeypatch):
    for name in ("is_whisper_packaged", "is_distillmos_installed", "is_dnsmos_installed"):
        monkeypatch.setattr(judges, name, lambda: False)
    notes: list[str] = []
    found = choose_judges("resemblyzer", "auto", None, True, False, notes)
    assert (
        found.recogniser is None and found.naturalness is None and found.dnsmos is None and found.threshold is not None
    )
    assert [note.split(" off:")[0] for note in notes] == ["WER and CER are", "naturalness is", "DNSMOS is"]
    choose_judges("resemblyzer", "none", None, False, False, notes)
    assert len(notes) == 3


def test_a_judge_that_does_not_load_is_left_out_with_its_reason(monkeypatch):
    def fail() -> None:
        raise FaceVCError("weights are damaged")

    monkeypatch.setattr(judges, "is_distillmos_installed", lambda: True)
    monkeypatch.setattr(judges, "DistillMOS", fail)
    monkeypatch.setattr(judges, "is_dnsmos_installed", lambda: False)
    notes: list[str] = []
    assert choose_judges("resemblyzer", "none", None, True, False, notes).naturalness is None
    assert notes[0] == "naturalness is off: weights are damaged"


def test_dnsmos_finds_noise_bad():
    pytest.importorskip("speechmos")
    judge = judges.DNSMOS()
    score = judge.score(np.random.default_rng(0).normal(0, 0.5, 16000).astype(np.float32))  # some of it clipped
    assert 0.5 < score < 2.5 and judge.name == "dnsmos"


@pytest.mark.skipif(not is_distillmos_installed(), reason="DistillMOS is not installed")
def test_naturalness_window_by_window_is_what_the_network_says_of_all():
    import torch

    judge = judges.DistillMOS()
    time = np.arange(17 * 8000) / 16000  # 8.5 s: two windows
    wav = (np.sin(2 * np.pi * 3 * time) * sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20)) / 4).astype(
        np.float32
    )
    wav[125_000:] = np.random.default_rng(0).normal(0, 0.3, len(wav) - 125_000)  # in the second alone
    with torch.inference_mode():
        whole, first = (float(judge._model(torch.from_numpy(part)[None])[0]) for part in (wav, wav[:122880]))
    assert judge.score(wav) == pytest.approx(whole, abs=1e-5) and abs(whole - first) > 1e-3
    assert judge.score(wav[:8000]) == pytest.approx(
        float(judge._model(torch.from_numpy(wav[:8000])[None])[0]), abs=1e-5
    )


def test_whisper_reads_again_what_went_round_in_circles():
    """A model of its own making stands in for Whisper: it loops unless it is told not to."""
    pytest.importorskip("faster_whisper")
    asked = []

    def transcribe(wav, language, **settings):
        asked.append(settings.get("no_repeat_ngram_size"))
        loops = len(wav) > 10 and "no_repeat_ngram_size" not in settings
        text, ratio = ("hold on, hold on, hold on", 9.0) if loops else ("hold on", 1.1)
        return iter([SimpleNamespace(text=f" {text}", compression_ratio=ratio)]), SimpleNamespace(language=language)

    recogniser = WhisperRecogniser.__new__(WhisperRecogniser)
    recogniser.language, recogniser._model = "en", SimpleNamespace(transcribe=transcribe)
    assert recogniser.transcribe(np.zeros(20, np.float32)) == Transcript("hold on", "en") and asked == [None, 3]
    assert recogniser.transcribe(np.zeros(5, np.float32)) == Transcript("hold on", "en") and asked[2:] == [None]


def test_whisper_goes_on_where_it_stopped_reading_at_a_pause():
    """Words' times make faster-whisper go on; what it doubts there is no text; one window only; a text that fits the
    sound is read once.
    """
    pytest.importorskip("faster_whisper")
    asked = []

    def transcribe(wav, language, word_timestamps=False, **settings):
        asked.append(word_timestamps)
        read = [("Chapter 11.", -0.5), ("It is with difficulty that I remember.", -0.1), ("you.", -1.9)]
        segments = [SimpleNamespace(text=f" {text}", avg_logprob=sure, compression_ratio=1.0) for text, sure in read]
        return iter(segments[: None if word_timestamps else 1]), SimpleNamespace(language=language)

    recogniser = WhisperRecogniser.__new__(WhisperRecogniser)
    recogniser.language, recogniser._model = "en", SimpleNamespace(transcribe=transcribe)
    whole = Transcript("Chapter 11. It is with difficulty that I remember.", "en")
    assert recogniser.transcribe(np.zeros(7 * 16000, np.float32)) == whole and asked == [False, True]
    assert recogniser.transcribe(np.zeros(2 * 16000, np.float32)) == Transcript("Chapter 11.", "en") and asked[2:] == [
        False
    ]
    assert recogniser.transcribe(np.zeros(31 * 16000, np.float32)) == Transcript("Chapter 11.", "en") and asked[3:] == [
        False
    ]


def test_whisper_reads_one_window_without_timestamps():
    """With them it may end after a heading and leave the rest unread; longer recordings need them."""
    pytest.importorskip("faster_whisper")
    asked = []

    def transcribe(wav, without_timestamps, **settings):
        asked.append(without_timestamps)
        return iter([]), SimpleNamespace(language="en")

    recogniser = WhisperRecogniser.__new__(WhisperRecogniser)
    recogniser.language, recogniser._model = "en", SimpleNamespace(transcribe=transcribe)
    for seconds in (1, 30, 31):
        recogniser.transcribe(np.zeros(seconds * 16000, np.float32))
    assert asked == [True, True, False]
