"""`extract-features`: recordings -> a store of raw log-mel and F0.

It also has the splits and the statistics of the training split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.choices import MelName
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.corpus.extraction import ExtractionConfig, Finish, extract_into_store
from facevc_cli.corpus.store import Item, Store, find_newest, hash_settings
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.pitch import PitchStatistics
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.inputs import AUDIO_SUFFIXES, Input
from facevc_cli.files.names import index_by_name
from facevc_cli.files.tables import read_table

STAGE = "extract-features"
SPLITS = ("train", "valid", "test")
TEACHER_RATE = 16000  # Hz, Whisper's
WHISPER_HEADS, MOST_TEACHER_DIM = 8, 2048


@dataclass(frozen=True, kw_only=True)
class ExtractFeaturesConfig(ExtractionConfig):
    mel: MelName = "fvmvc"
    split_table: Path | None = None  # columns utterance or speaker, and split
    valid_share: float = 0.05  # share of the speakers that are drawn for validation, if there is no table
    seed: int = 0
    teacher: Path | None = None  # folder of a CTranslate2 Whisper model; the output of its encoder is stored too
    device: str = "cpu"  # computes the log-mel
    frontend: Frontend = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frontend", Frontend.standard(self.mel))
        if not 0 <= self.valid_share < 1:
            raise UsageError(f"--valid-share {self.valid_share}: expected a share of the speakers from 0 to below 1.")


def run(config: ExtractFeaturesConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes raw log-mels, F0, splits and the statistics of the training split.

    frames/mel (T, n_mels) float32, frames/f0 (T,) float32 Hz with 0 for unvoiced frames, index/split, index/seconds,
    statistics/mel_mean and statistics/mel_std (n_mels,). With a teacher also frames/content (T50, 512) float16.
    """
    device = str(resolve_device(config.device))
    settings = {**config.frontend.as_settings(), "teacher": config.teacher.name if config.teacher else None}
    splits = _SplitRule(
        read_table(config.split_table, ("split",)) if config.split_table else [], config.valid_share, config.seed
    )
    return extract_into_store(
        config,
        stage=STAGE,
        suffixes=AUDIO_SUFFIXES,
        settings=settings,
        extract=partial(_extract, config.frontend, config.teacher, device),
        reporter=reporter,
        device=device,
        finish=partial(_finish, splits),
        finish_settings=splits.as_settings(),
        next_command=(
            f"facevc extract-spkemb WAVS -o voices.h5, then facevc pretrain {config.output} --voices "
            "voices.h5 -o runs/pretrain"
        ),
    )


def _extract(frontend: Frontend, teacher: Path | None, device: str, source: Input) -> Item:
    wav, rate = load_audio(source.path, frontend.definition.rate)
    wav = frontend.prepare(wav)
    mel, f0 = frontend.extract_features(wav, device)
    frames = {"mel": mel, "f0": f0}
    if teacher is not None:
        frames["content"] = _load_teacher(teacher)(resample(wav, rate, TEACHER_RATE))
    pitch = PitchStatistics.of(f0)
    return Item(
        source.id,
        source.speaker,
        frames,
        columns={
            "seconds": len(wav) / rate,
            "log_f0_mean": pitch.mean,
            "log_f0_std": pitch.std,
            "voiced_share": float((f0 > 0).mean()),
        },
    )


class _Teacher:
    """Whisper's encoder on a wav: (n,) at 16 kHz -> (T50, 512) float16 at 50 Hz, in windows of at most 28 s."""

    WINDOW_FRAMES = 2800

    def __init__(self, folder: Path):
        import torch

        from facevc_cli.voices.ctranslate2 import read_ctranslate2
        from facevc_cli.voices.whisper import WhisperEncoder

        arrays = {
            name: torch.from_numpy(array.astype(np.float32))
            for name, array in read_ctranslate2(folder, "encoder/").items()
        }
        first = arrays.get("encoder/conv1/weight")
        if (
            first is None
            or first.ndim != 3
            or not 0 < first.shape[0] <= MOST_TEACHER_DIM
            or first.shape[0] % WHISPER_HEADS
        ):
            raise FaceVCError(
                f"{folder}: expected a CTranslate2 Whisper model, found one without Whisper's first convolution. Give "
                "its folder."
            )
        self.encoder = WhisperEncoder(dim=first.shape[0]).eval()
        self.encoder.load_ctranslate2(arrays)

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        import torch

        from facevc_cli.dsp.mel import compute_whisper_mel_power
        from facevc_cli.voices.whisper import scale_log_mel

        with torch.inference_mode():
            mel = scale_log_mel(torch.from_numpy(compute_whisper_mel_power(wav)))
            windows = [self.encoder(part[None])[0] for part in mel.split(self.WINDOW_FRAMES, dim=1)]
        return torch.cat(windows).half().numpy()


@lru_cache(maxsize=1)
def _load_teacher(folder: Path) -> _Teacher:
    return _Teacher(folder)


class _SplitRule:
    """Assigns utterances to splits: by the table, which names utterances or speakers, or by drawing speakers if there
    is no table.
    """

    def __init__(self, table: Sequence[Mapping[str, str]], valid_share: float, seed: int):
        named = [(row.get("utterance") or row.get("speaker", ""), row["split"].strip().lower()) for row in table]
        self.by_name = index_by_name(named)
        wrong = sorted(set(self.by_name.values()) - set(SPLITS))
        if wrong:
            raise FaceVCError(f"the split table names {', '.join(map(repr, wrong))}: expected {', '.join(SPLITS)}.")
        if "" in self.by_name:
            raise FaceVCError(
                "the split table has a row that names neither an utterance nor a speaker. Fill in one of the two "
                "columns."
            )
        self.valid_share, self.seed = valid_share, seed

    def as_settings(self) -> dict[str, Any]:
        """Returns the settings that the splits depend on."""
        return (
            {"table": hash_settings(self.by_name)}
            if self.by_name
            else {"valid_share": self.valid_share, "seed": self.seed}
        )

    def split(self, speakers: Mapping[str, str]) -> dict[str, str]:
        """{utterance: speaker} -> {utterance: split}. Of several speakers, a share above zero draws at least one."""
        names = sorted(set(speakers.values()))
        if self.by_name and speakers and not self.by_name.keys() & {*speakers, *names}:
            raise FaceVCError(
                "the split table names none of the utterances or speakers that were found, such as "
                f"{next(iter(speakers))!r}."
            )
        drawn: set[str] = set()
        if not self.by_name and self.valid_share > 0 and len(names) > 1:
            count = max(1, round(self.valid_share * len(names)))
            drawn = set(np.random.default_rng(self.seed).permutation(names)[:count].tolist())
        return {
            u: self.by_name.get(u, self.by_name.get(s, "valid" if s in drawn else "train")) for u, s in speakers.items()
        }


def _finish(splits: _SplitRule, stores: list[Store]) -> Finish:
    where = find_newest(stores)
    speakers = {utterance: store.speakers[i] for utterance, (store, i) in where.items()}
    split = splits.split(speakers)
    total, squares, count = 0.0, 0.0, 0
    for store in stores:
        for i, utterance in enumerate(store.ids):
            if split[utterance] == "train" and where[utterance] == (store, i):
                mel = store.read_frames("mel", i).astype(np.float64)
                total, squares, count = total + mel.sum(0), squares + (mel**2).sum(0), count + len(mel)
        store.close()
    if count == 0:
        if speakers:
            raise FaceVCError(
                "no utterance is in the training split, so there are no statistics to normalise with. Change the "
                "splits."
            )
        return Finish({"split": split}, {})
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Finish({"split": split}, {"mel_mean": np.asarray(mean, np.float32), "mel_std": np.asarray(std, np.float32)})
