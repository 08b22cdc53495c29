"""One model, one vocoder, any number of conversions: the ladder that `facevc convert` stands on.

    from facevc_cli import Converter
    wav, rate = Converter().convert("speech.wav", face="face.jpg")

A conversion has two halves that can be kept: a `Source` (what is said, and how the pitch moves) and a `Target` (whose voice).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facevc_cli import __version__
from facevc_cli.conversion.card import CARD_SUFFIX, WEIGHTS_DIGITS, VoiceCard, load_card
from facevc_cli.conversion.speech import Source, SpeechFeatures
from facevc_cli.conversion.transfer.bands import BandStatistics, match
from facevc_cli.conversion.transfer.retrieval import retrieve
from facevc_cli.conversion.transfer.variance import scale_variance
from facevc_cli.conversion.voice import Target
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.dsp.downmix import mix_array
from facevc_cli.dsp.level import match_loudness, root_mean_square
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule, PitchStatistics, matched_range, normalised_log_f0
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.vocoders import vocode_many
from facevc_cli.vocoders.load import load_vocoder
from facevc_cli.voices.dvector import VOICE_RATE

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceAnalyser, FaceObservation
    from facevc_cli.voices.dvector import VoiceEmbedder

Recording = Path | str | tuple[np.ndarray, int]  # a file, or (wav (n,) or (n, channels), rate in Hz)
Picture = Path | str | np.ndarray  # a file, or (H, W, 3) uint8 RGB
GUIDING_S = 60  # of a source say whose voice it is
RETRIEVED_S = 120  # of a voice's recording give sounds
RANGE_S = 1.0  # voiced: a shorter recording does not say how far a voice moves


class Converter:
    """Loads a checkpoint (None: the bundled starter) and a vocoder once; the face and voice networks when first needed."""

    def __init__(
        self, checkpoint: Path | str | None = None, vocoder: Path | str | None = None, device: str = "auto",
        *, on_many: str = "largest", guidance: float | None = None, reporter: Reporter = SILENT,
    ):  # fmt: skip
        self.device = resolve_device(device)
        self.checkpoint = load_checkpoint(checkpoint, str(self.device))
        self.model, self.frontend = self.checkpoint.model, self.checkpoint.frontend
        self.vocoder = load_vocoder(vocoder, self.frontend.mel, self.device, reporter)
        self.rate = self.frontend.definition.rate
        self.guidance = self.model.config.voice_guidance if guidance is None else guidance  # away from the source's voice; 0 leaves that out
        self.on_many = on_many
        self.timings: dict[str, float] = {}  # seconds by step, summed
        self._faces: FaceAnalyser | None = None
        self._voices: VoiceEmbedder | None = None

    def convert(
        self, source: Recording, face: Picture | None = None, voice: Recording | None = None, *, temperature: float | None = None, pitch: str = "auto"
    ) -> tuple[np.ndarray, int]:
        """The source's words in the voice that fits the face, or in the voice given: (wav (n,) float32, rate in Hz).

        The result is as long as the source and as loud. Exactly one of `face` and `voice` must be given; a face may be a voice card's
        path. pitch: auto, keep, semitones such as "+3", or a median such as "180hz". FaceVCError where the recording or the picture
        cannot be used.
        """
        if (face is None) == (voice is None):
            raise FaceVCError("convert needs either a face or a voice, not both and not neither.")
        target = self.target_from_face(face, temperature) if face is not None else self.target_from_voice(voice)  # type: ignore[arg-type]
        return self.speak(self.analyse(source), self.pitched(target, PitchRule.parse(pitch))), self.rate

    def analyse(self, source: Recording) -> Source:
        """What conversion needs of an utterance."""
        return self.encode(self.hear(source))

    def hear(self, source: Recording) -> SpeechFeatures:
        """The half of `analyse` that needs no network of the model: another thread may do it meanwhile."""
        with self._timed("load"):
            wav = self._heard(source)
        with self._timed("features"):
            start, end = self.frontend.bounds(wav)
            rms, seconds = root_mean_square(wav[start:end]), len(wav) / self.rate
            prepared = self.frontend.prepare(wav)
            del wav  # an hour's is 300 MB
            mel, f0 = self.frontend.features(prepared)
        with self._timed("voice"):
            return SpeechFeatures(mel, f0, rms, start / self.rate, seconds, self._source_dvector(prepared))

    @torch.inference_mode()
    def encode(self, heard: SpeechFeatures) -> Source:
        """The other half: the content."""
        with self._timed("content"):
            normalised = self.model.normalise(torch.from_numpy(heard.mel).to(self.device))
            z, _, _ = self.model.encode_content(normalised.T[None])
        pitch = PitchStatistics.of(heard.f0)
        lf0 = torch.from_numpy(normalised_log_f0(heard.f0, pitch)).to(self.device)[None]
        return Source(z, lf0, pitch, heard.rms, heard.start_s, heard.seconds, self._source_speaker(heard, normalised))

    def target_from_face(self, face: Picture, temperature: float | None = None) -> Target:
        """The voice that the memory recalls for a face, or that a voice card keeps (then `temperature` says nothing).

        FaceVCError where there is no usable face, or the model knows none.
        """
        if isinstance(face, str | Path) and Path(face).suffix.lower() == CARD_SUFFIX:
            return self.target_from_card(face)
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
        """The voice of a recording: its own embedding, its own mean pitch, and how it sounds: its bands, its range, its sounds."""
        with self._timed("voice"), _naming(voice):
            mel, f0 = self.frontend.features(self.frontend.prepare(self._heard(voice)))
            normalised = self.model.normalise(torch.from_numpy(mel).to(self.device))
            if self.model.config.speaker_encoder == "mel":
                given = normalised.T
            else:
                given = torch.from_numpy(self._voice_embedder().embed(_load(voice, VOICE_RATE))).to(self.device)
            beginning = normalised[: round(RETRIEVED_S * self.frontend.definition.frame_rate)]
            content = self.model.encode_content(beginning.T[None])[0][0] if self.model.config.content_retrieval else None
            pitch, voiced = PitchStatistics.of(f0), int((f0 > 0).sum())
            std = pitch.std if voiced >= RANGE_S * self.frontend.definition.frame_rate else None
            bands = BandStatistics.of(normalised)
            return Target(self.model.embed_voice(given[None]), pitch.mean if voiced else None, content=content, bands=bands, log_f0_std=std)

    @torch.inference_mode()
    def target_from_mix(self, targets: Sequence[Target], weights: Sequence[float], temperature: float | None = None) -> Target:
        """The voice recalled at the weighted mean of the targets' ADDRESSES, of one target at its own.

        A recording is addressed by its voice, at `temperature`: what the memory does not know of it is lost.
        """
        memory = self.model.memory
        addresses = [memory.address(target.speaker, "voice", temperature) if target.address is None else target.address.log() for target in targets]
        if not addresses:
            raise FaceVCError("target_from_mix needs at least one target, found none.")
        mixed = memory.mix(torch.cat(addresses), torch.tensor(weights))
        return Target(self.model.recall_address(mixed), None, mixed.exp())

    def target_from_card(self, card: VoiceCard | Path | str) -> Target:
        """The voice that a card keeps. FaceVCError where the card is damaged, or another model made it."""
        path = "the voice card" if isinstance(card, VoiceCard) else card
        card = card if isinstance(card, VoiceCard) else load_card(Path(card))
        own = self.checkpoint.weights_sha256[:WEIGHTS_DIGITS]
        shapes = (len(card.speaker), len(card.address))
        if card.weights_sha256 != own or shapes != self.model.memory.values.shape[::-1]:
            raise FaceVCError(
                f"{path}: this voice was recalled by the model {card.model!r} with the weights {card.weights_sha256}, and here is "
                f"{self.checkpoint.config.name!r} with {own}: a card says nothing to another model. Pass that model as --checkpoint, "
                "or make the card anew with 'facevc voice-card'."
            )
        speaker, address = (torch.from_numpy(vector).to(self.device)[None] for vector in (card.speaker, card.address))
        return Target(speaker, None, address)

    def card_of(self, target: Target, origin: Sequence[Mapping[str, str]], temperature: float | None = None) -> VoiceCard:
        """A recalled target as a card. origin: as in VoiceCard."""
        if target.address is None:
            raise FaceVCError("card_of needs a target with an address, found none.")
        speaker, address = (vector[0].float().cpu().numpy() for vector in (target.speaker, target.address))
        scale = self.model.memory.temperature if temperature is None else temperature
        weights = self.checkpoint.weights_sha256[:WEIGHTS_DIGITS]
        return VoiceCard(speaker, address, self.checkpoint.config.name, weights, scale, tuple(origin), date.today().isoformat(), __version__)

    def pitched(self, target: Target, rule: PitchRule) -> Target:
        """The target with that rule of pitch. FaceVCError as of `check_pitch`."""
        self.check_pitch(rule)
        return replace(target, pitch=rule)

    def check_pitch(self, rule: PitchRule) -> None:
        """FaceVCError where the rule is not auto and the model leaves the pitch to the voice."""
        if rule != AUTO_PITCH and self.model.pitch_level is None:
            raise FaceVCError(
                f"--pitch {rule}: the model {self.checkpoint.config.name!r} is told how the pitch moves, not how high it lies (model.pitch "
                f"{self.model.config.pitch!r}): the level comes with the voice. Leave --pitch out, or choose a checkpoint with model.pitch 'comb'."
            )

    @torch.inference_mode()
    def own_log_f0(self, target: Target) -> float:
        """The mean ln F0 (Hz) of the target's own voice: as measured, else as the model predicts it."""
        if target.log_f0_mean is not None:
            return target.log_f0_mean
        predicted = self.model.predict_pitch(target.speaker) if target.address is None else self.model.predict_pitch_at(target.address.log())
        return float(predicted[0])

    def spoken_pitch(self, source: Source, target: Target) -> PitchStatistics:
        """The pitch of the source spoken by the target, as the target's rule has it: a recalled voice has the source's range."""
        std, share = source.pitch.std, self.model.config.pitch_range_matching
        own = PitchStatistics(self.own_log_f0(target), std if target.log_f0_std is None else matched_range(std, target.log_f0_std, share))
        return target.pitch.spoken(own, source.pitch, source.lf0[0].cpu().numpy())

    def speak(self, source: Source, target: Target) -> np.ndarray:
        """The source's content and pitch movement in the target's voice: (n,) float32 at `self.rate`, as long and loud as the source."""
        return self.speak_many([(source, target)])[0]

    @torch.inference_mode()
    def speak_many(self, pairs: Sequence[tuple[Source, Target]]) -> list[np.ndarray]:
        """`speak` of each pair, the network's work in batches: the same sound, sooner where a processor has room. Nothing is padded.

        All log-mels lie in memory at once. A source's targets should stand side by side: what they share is computed once.
        """
        mels: list[Tensor] = []
        with self._timed("decoder"):
            for _, same in groupby(pairs, key=lambda pair: id(pair[0])):
                mels += self._decoded(list(same))
        with self._timed("vocoder"):
            spoken = vocode_many(self.vocoder, mels, len(pairs))
        return [_placed(match_loudness(wav.numpy(), source.rms), source, self.rate) for wav, (source, _) in zip(spoken, pairs, strict=True)]

    def _decoded(self, pairs: Sequence[tuple[Source, Target]]) -> list[Tensor]:
        """Raw log-mels (T, n_mels) of one source in the voices of its targets."""
        source = pairs[0][0]
        spoken = [self.spoken_pitch(source, target) for _, target in pairs]
        mean, std = torch.tensor([(pitch.mean, pitch.std) for pitch in spoken], device=self.device, dtype=torch.float32).unbind(1)
        level = mean, std
        speakers = torch.cat([target.speaker for _, target in pairs])
        settings = self.model.config
        z = torch.cat([retrieve(source.z, target.content, settings.content_retrieval) for _, target in pairs])
        lf0 = source.lf0.expand(len(pairs), -1)
        if source.speaker is None:
            mels = self.model.decode(z, lf0, speakers, level)
        else:
            mels = self.model.decode_guided(z, lf0, speakers, level, source.speaker.expand_as(speakers), self.guidance)
        shares = settings.spectrum_matching, settings.deviation_matching
        scaled = scale_variance(mels, settings.variance_scale)
        matched = (match(mel, target.bands, *shares) for mel, (_, target) in zip(scaled, pairs, strict=True))
        return [self.model.denormalise(mel).float() for mel in matched]

    def _source_dvector(self, wav: np.ndarray) -> np.ndarray | None:
        """(256,) of a trimmed source at the model's rate, by its beginning; None where no guidance asks for it, or there is no sound."""
        beginning = wav[: GUIDING_S * self.rate]
        if not self.guidance or self.model.config.speaker_encoder == "mel" or not np.any(beginning):
            return None
        return self._voice_embedder().embed(resample(beginning, self.rate, VOICE_RATE))

    def _source_speaker(self, heard: SpeechFeatures, mel: Tensor) -> Tensor | None:
        """(1, voice_dim) of a source with its normalised log-mel (T, n_mels), where there is guidance."""
        if self.guidance and self.model.config.speaker_encoder == "mel":
            return self.model.embed_voice(mel[: round(GUIDING_S * self.frontend.definition.frame_rate)].T[None])
        return None if heard.dvector is None else self.model.embed_voice(torch.from_numpy(heard.dvector).to(self.device)[None])

    def embed_face(self, face: Picture) -> np.ndarray:
        """The face embedding (face_dim,) float32 that this model was trained with."""
        return np.asarray(self.find_face(face).embedding, dtype=np.float32)

    def find_face(self, face: Picture) -> "FaceObservation":
        """The face that is taken from a picture, with its box, crop and embedding. FaceVCError where there is none."""
        analyser = self._face_analyser()
        with self._timed("face"), _naming(face):
            if isinstance(face, np.ndarray):
                image = face
            else:
                from facevc_cli.files.image import load_image

                image = load_image(face)
            return analyser.analyse(image)

    def prepare_faces(self) -> None:
        """Loads the face networks now; FaceVCError where the checkpoint knows no faces or its embedder is not installed."""
        self._face_analyser()

    def prepare_speech(self) -> None:
        """Where the vocoder's kernels are compiled, begins with it now: the first result comes half a second sooner."""
        if self.vocoder.steady:
            self.vocoder.compile_ahead()

    def _heard(self, recording: Recording) -> np.ndarray:
        """(n,) float32 at the model's rate, at least one sample."""
        wav = _load(recording, self.rate)
        return wav if len(wav) else np.zeros(1, np.float32)

    def _face_analyser(self) -> "FaceAnalyser":
        if self._faces is None:
            settings = self.checkpoint.embedders.get("face")
            if settings is None:
                raise FaceVCError(
                    f"this checkpoint (of {self.checkpoint.stage}) was never trained on faces, so it knows no voice for one. "
                    "Pass --voice WAV instead of --face, or a checkpoint of 'facevc train'."
                )
            from facevc_cli.faces.analyser import analyser_of

            self._faces = analyser_of(settings, self.on_many)
        return self._faces

    def _voice_embedder(self) -> "VoiceEmbedder":
        if self._voices is None:
            from facevc_cli.voices.dvector import VoiceEmbedder

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


def _load(recording: Recording, to_rate: int) -> np.ndarray:
    """(n,) float32 mono at `to_rate` Hz; integer samples are scaled to [-1, 1]."""
    if not isinstance(recording, tuple):
        return load_audio(recording, to_rate)[0]
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
    return resample(mix_array(wav if wav.ndim == 2 else wav[:, None], int(rate)), int(rate), to_rate)


def _placed(wav: np.ndarray, source: Source, rate: int) -> np.ndarray:
    """Into silence as long as the recording, where the speech stood in it."""
    whole = np.zeros(round(source.seconds * rate), np.float32)
    start = round(source.start_s * rate)
    count = min(len(wav), len(whole) - start)
    whole[start : start + count] = wav[:count]
    return whole
