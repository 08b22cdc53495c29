"""One model, one vocoder, any number of conversions: the ladder that `facevc convert` stands on.

    from facevc_cli import Converter
    wav, rate = Converter().convert("speech.wav", face="face.jpg")

A conversion has two halves that can be kept: a `Source` (what is said, and how the pitch moves) and a `Target` (whose voice).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facevc_cli.errors import FaceVCError
from facevc_cli.features.pitch import PitchStatistics, normalised_log_f0
from facevc_cli.features.voice import VOICE_RATE
from facevc_cli.io.audio import load_audio, resample
from facevc_cli.io.checkpoint import load_checkpoint
from facevc_cli.progress import SILENT, Reporter
from facevc_cli.runtime import resolve_device
from facevc_cli.vocoders import vocode_long
from facevc_cli.vocoders.load import load_vocoder

if TYPE_CHECKING:
    from facevc_cli.features.face import FaceAnalyser
    from facevc_cli.features.voice import VoiceEmbedder

Recording = Path | str | tuple[np.ndarray, int]  # a file, or (wav (n,) or (n, channels), rate in Hz)
Picture = Path | str | np.ndarray  # a file, or (H, W, 3) uint8 RGB
PEAK = 0.99
LEVEL_FLOOR = 1e-4  # RMS: a quieter source is silence


@dataclass(frozen=True)
class Source:
    """What is kept of an utterance: content z (1, T / 2, z_dim), log-F0 (1, T) normalised, its level, and how it lay in the recording."""

    z: Tensor
    lf0: Tensor
    pitch: PitchStatistics
    rms: float
    start_s: float  # what the trim cut off in front ...
    seconds: float  # ... of this much recording


@dataclass(frozen=True)
class Target:
    """A voice to speak in: embedding (1, voice_dim), the mean of its ln F0 where known, its address (1, slots) where recalled."""

    speaker: Tensor
    log_f0_mean: float | None = None
    address: Tensor | None = None


class Converter:
    """Loads a checkpoint (None: the bundled starter) and a vocoder once; the face and voice networks when first needed."""

    def __init__(
        self, checkpoint: Path | str | None = None, vocoder: Path | str | None = None, device: str = "auto",
        *, on_many: str = "largest", reporter: Reporter = SILENT,
    ):  # fmt: skip
        self.device = resolve_device(device)
        self.checkpoint = load_checkpoint(checkpoint, str(self.device))
        self.model, self.frontend = self.checkpoint.model, self.checkpoint.frontend
        self.vocoder = load_vocoder(vocoder, self.frontend.mel, self.device, reporter)
        self.rate = self.frontend.definition.rate
        self.on_many = on_many
        self.timings: dict[str, float] = {}  # seconds by step, summed
        self._faces: FaceAnalyser | None = None
        self._voices: VoiceEmbedder | None = None

    def convert(
        self, source: Recording, face: Picture | None = None, voice: Recording | None = None, *, temperature: float | None = None
    ) -> tuple[np.ndarray, int]:
        """The source's words in the voice that fits the face, or in the voice given: (wav (n,) float32, rate in Hz).

        The result is as long as the source and as loud. Exactly one of `face` and `voice` must be given. FaceVCError where the
        recording or the picture cannot be used.
        """
        if (face is None) == (voice is None):
            raise FaceVCError("convert needs either a face or a voice, not both and not neither.")
        target = self.target_from_face(face, temperature) if face is not None else self.target_from_voice(voice)  # type: ignore[arg-type]
        return self.speak(self.analyse(source), target), self.rate

    @torch.inference_mode()
    def analyse(self, source: Recording) -> Source:
        """What conversion needs of an utterance."""
        with self._timed("load"):
            wav = self._heard(source)
        with self._timed("features"):
            start, end = self.frontend.bounds(wav)
            prepared = self.frontend.prepare(wav)
            mel, f0 = self.frontend.features(prepared)
            pitch = PitchStatistics.of(f0)
        with self._timed("content"):
            normalised = self.model.normalise(torch.from_numpy(mel).to(self.device))
            z, _, _ = self.model.encode_content(normalised.T[None])
        lf0 = torch.from_numpy(normalised_log_f0(f0, pitch)).to(self.device)[None]
        rms = float(np.sqrt(np.mean(np.square(wav[start:end], dtype=np.float64))))
        return Source(z, lf0, pitch, rms, start / self.rate, len(wav) / self.rate)

    def target_from_face(self, face: Picture, temperature: float | None = None) -> Target:
        """The voice that the memory recalls for a face. FaceVCError where there is no usable face, or the model knows none."""
        return self.target_from_embedding(self.embed_face(face), temperature)

    def target_from_faces(self, faces: Sequence[Picture], temperature: float | None = None) -> Target:
        """The voice recalled for the mean of several faces' embeddings, such as photographs of one person. FaceVCError as for one."""
        if not len(faces):
            raise FaceVCError("target_from_faces needs at least one face, found none.")
        return self.target_from_embedding(np.mean([self.embed_face(face) for face in faces], axis=0), temperature)

    @torch.inference_mode()
    def target_from_embedding(self, embedding: np.ndarray, temperature: float | None = None) -> Target:
        """The voice recalled for a face embedding (face_dim,), as `embed_face` gives it, or for a mean of several."""
        given = torch.from_numpy(np.asarray(embedding, dtype=np.float32)).to(self.device)[None]
        recalled, address = self.model.recall_face(given, temperature)
        return Target(recalled, None, address)

    @torch.inference_mode()
    def target_from_voice(self, voice: Recording) -> Target:
        """The voice of a recording: its own embedding and its own mean pitch."""
        with self._timed("voice"), _naming(voice):
            mel, f0 = self.frontend.features(self.frontend.prepare(self._heard(voice)))
            if self.model.config.speaker_encoder == "mel":
                given = self.model.normalise(torch.from_numpy(mel).to(self.device)).T
            else:
                given = torch.from_numpy(self._voice_embedder().embed(resample(*_load(voice), VOICE_RATE))).to(self.device)
            return Target(self.model.embed_voice(given[None]), PitchStatistics.of(f0).mean if (f0 > 0).any() else None)

    @torch.inference_mode()
    def speak(self, source: Source, target: Target) -> np.ndarray:
        """The source's content and pitch movement in the target's voice: (n,) float32 at `self.rate`, as long and loud as the source."""
        mean = target.log_f0_mean
        if mean is None:
            mean = float(self.model.predict_pitch(target.speaker)[0])
        level = tuple(torch.tensor([v], device=self.device, dtype=torch.float32) for v in (mean, source.pitch.std))
        with self._timed("decoder"):
            mel = self.model.denormalise(self.model.decode(source.z, source.lf0, target.speaker, level))[0]  # type: ignore[arg-type]
        with self._timed("vocoder"):
            spoken = vocode_long(self.vocoder, mel.float()).numpy()
        return _placed(_levelled(spoken, source.rms), source, self.rate)

    def embed_face(self, face: Picture) -> np.ndarray:
        """The face embedding (face_dim,) float32 that this model was trained with."""
        analyser = self._face_analyser()
        with self._timed("face"), _naming(face):
            if isinstance(face, np.ndarray):
                image = face
            else:
                from facevc_cli.io.image import load_image

                image = load_image(face)
            return np.asarray(analyser.analyse(image).embedding, dtype=np.float32)

    def prepare_faces(self) -> None:
        """Loads the face networks now; FaceVCError where the checkpoint knows no faces or its embedder is not installed."""
        self._face_analyser()

    def _heard(self, recording: Recording) -> np.ndarray:
        """(n,) float32 at the model's rate, at least one sample."""
        wav = resample(*_load(recording), self.rate)
        return wav if len(wav) else np.zeros(1, np.float32)

    def _face_analyser(self) -> "FaceAnalyser":
        if self._faces is None:
            settings = self.checkpoint.embedders.get("face")
            if settings is None:
                raise FaceVCError(
                    f"this checkpoint (of {self.checkpoint.stage}) was never trained on faces, so it knows no voice for one. "
                    "Pass --voice WAV instead of --face, or a checkpoint of 'facevc train'."
                )
            from facevc_cli.features.face import FaceAnalyser

            self._faces = FaceAnalyser(settings.get("detector", "dlib"), settings["embedder"], self.on_many)
        return self._faces

    def _voice_embedder(self) -> "VoiceEmbedder":
        if self._voices is None:
            from facevc_cli.features.voice import VoiceEmbedder

            self._voices = VoiceEmbedder(str(self.device) if self.device.type == "cuda" else "cpu")
        return self._voices

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        finally:
            self.timings[step] = self.timings.get(step, 0.0) + time.perf_counter() - started


@contextmanager
def _naming(given: object) -> Iterator[None]:
    """Errors of what knows only arrays get the name of the file."""
    try:
        yield
    except FaceVCError as error:
        if isinstance(given, str | Path) and str(given) not in str(error):
            raise type(error)(f"{given}: {error}") from error
        raise


def _load(recording: Recording) -> tuple[np.ndarray, int]:
    """(n,) float32 mono and its rate; integer samples are scaled to [-1, 1]."""
    if not isinstance(recording, tuple):
        return load_audio(recording)
    wav, rate = np.asarray(recording[0]), recording[1]
    usable = wav.size > 0 and (wav.ndim == 1 or (wav.ndim == 2 and wav.shape[0] >= wav.shape[1])) and wav.dtype.kind in "fiu"
    if not usable or not np.isfinite(wav).all() or rate <= 0:
        raise FaceVCError(
            f"a recording given as an array must be (samples, rate in Hz), the samples (n,) or (n, channels), finite floats or integers; "
            f"found the shape {wav.shape}, {wav.dtype}, rate {rate}."
        )
    if wav.dtype.kind in "iu":
        limits = np.iinfo(wav.dtype)
        half = (float(limits.max) - float(limits.min) + 1) / 2
        wav = (wav - (float(limits.min) + half)) / half
    mono = wav.mean(axis=1) if wav.ndim == 2 else wav
    return mono.astype(np.float32), int(rate)


def _levelled(wav: np.ndarray, rms: float) -> np.ndarray:
    """To the source's RMS, short of clipping; a silent source gives silence."""
    own = float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))
    if rms < LEVEL_FLOOR or own == 0:
        return np.zeros_like(wav)
    gain = min(rms / own, PEAK / float(np.abs(wav).max()))
    return (wav * gain).astype(np.float32)


def _placed(wav: np.ndarray, source: Source, rate: int) -> np.ndarray:
    """Into silence as long as the recording, where the speech stood in it."""
    whole = np.zeros(round(source.seconds * rate), np.float32)
    start = round(source.start_s * rate)
    count = min(len(wav), len(whole) - start)
    whole[start : start + count] = wav[:count]
    return whole
