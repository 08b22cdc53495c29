"""Converts speech with one model and one vocoder. `facevc convert` uses this class.

    from facevc_cli import Converter
    wav, rate = Converter().convert("speech.wav", face="face.jpg")

A conversion needs a `Source` (the content and the pitch movement) and a `Target` (the voice). Both can be used again.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.card import CARD_SUFFIX, VoiceCard, load_card
from facevc_cli.conversion.decoding import decode_voices, describe_recording
from facevc_cli.conversion.pictures import read_picture, reads_pictures
from facevc_cli.conversion.pitch_level import choose_pitch, find_log_f0
from facevc_cli.conversion.recordings import Recording, load_recording, place_in_silence
from facevc_cli.conversion.speech import Source, SpeechFeatures
from facevc_cli.conversion.styles import get_card_shape, get_style_dim, make_style_card
from facevc_cli.conversion.traits import TraitRule, follow_face, steer_target
from facevc_cli.conversion.transfer.bands import BandStatistics
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import VoiceReading, read_target
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, name_in_errors
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.dsp.level import match_loudness, measure_rms
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule, PitchStatistics, normalise_log_f0
from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.faces.reading import read_fused
from facevc_cli.families.base import Capability, ConversionModel, MemoryModel
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.audio import resample
from facevc_cli.vocoders import vocode_many
from facevc_cli.vocoders.load import load_vocoder
from facevc_cli.voices.dvector import VOICE_RATE

if TYPE_CHECKING:
    from facevc_cli.conversion.stream.settings import StreamSettings
    from facevc_cli.conversion.stream.streaming_converter import StreamingConverter
    from facevc_cli.faces.analyser import FaceAnalyser, FaceObservation
    from facevc_cli.voices.dvector import VoiceEmbedder

Picture = Path | str | np.ndarray  # a file, or (H, W, 3) uint8 RGB
GUIDING_S = 60  # this much of a source is used for its own voice embedding
RETRIEVED_S = 120  # this much of a recording is used for content retrieval and what the model takes besides
RANGE_S = 1.0  # a recording with less voiced speech gives no pitch range


class Converter:
    """Loads a checkpoint (None: the bundled starter) and a vocoder. Other networks are loaded when first needed."""

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        vocoder: Path | str | None = None,
        device: str = "auto",
        *,
        on_many: str = "largest",
        guidance: float | None = None,
        reporter: Reporter = SILENT,
    ):
        self.device = resolve_device(device)
        self.checkpoint = load_checkpoint(checkpoint, str(self.device))
        self.model: ConversionModel = self.checkpoint.model
        self.frontend, self.style = self.checkpoint.frontend, self.checkpoint.config.conversion
        self.vocoder = load_vocoder(vocoder, self.frontend.mel, self.device, reporter)
        self.rate = self.frontend.definition.rate
        self.guidance = self.style.voice_guidance if guidance is None else guidance
        self.on_many = on_many
        self.timings: dict[str, float] = {}  # seconds by step, summed
        self._faces: FaceAnalyser | None = None
        self._voices: VoiceEmbedder | None = None

    @property
    def memory(self) -> MemoryModel:
        """The model, if it has a memory of voices. FaceVCError if it has none."""
        if Capability.MEMORY not in self.model.capabilities:
            raise FaceVCError(
                f"the model {self.checkpoint.config.name!r} has no memory of voices, so it makes no mixes, voice "
                "cards or rankings. Convert to a face or a recording, or choose another --checkpoint."
            )
        return cast(MemoryModel, self.model)

    @property
    def predicts_pitch(self) -> bool:
        return Capability.PITCH in self.model.capabilities

    def slot_values(self) -> np.ndarray | None:
        """Returns the voices of the model's memory (slots, voice_dim), or None if it has no memory."""
        return self.memory.get_slot_values().cpu().numpy() if Capability.MEMORY in self.model.capabilities else None

    def convert(
        self,
        source: Recording,
        face: Picture | None = None,
        voice: Recording | None = None,
        *,
        temperature: float | None = None,
        pitch: str = "auto",
        register: str | float = "auto",
        age: str | float = "auto",
    ) -> tuple[np.ndarray, int]:
        """Speaks the source's words in the face's or the given voice: (wav (n,) float32, rate in Hz).

        The result is as long and as loud as the source. Give exactly one of `face` and `voice`. A face may be the path
        of a voice card. pitch, register and age: as the options of `facevc convert`; the last two are for faces only.
        FaceVCError if the recording or the picture cannot be used.
        """
        traits = TraitRule.parse(str(register), str(age))
        if (face is None) == (voice is None):
            raise FaceVCError("convert needs a face or a voice, and not both.")
        if voice is not None:
            target = self.target_from_voice(voice)
        else:
            target = self.target_from_face(cast(Picture, face), temperature)
        target = self.apply_trait_rule(target, traits)
        return self.speak(self.analyse(source), self.apply_pitch_rule(target, PitchRule.parse(pitch))), self.rate

    def analyse(self, source: Recording, statistics: Statistics = WHOLE) -> Source:
        """Extracts what conversion needs. statistics: as in `hear`."""
        return self.encode(self.hear(source, statistics))

    def hear(self, source: Recording, statistics: Statistics = WHOLE) -> SpeechFeatures:
        """Does the part of `analyse` that needs no network of the model. Another thread may run it at the same time.

        statistics: what this step and all later ones measure. For a piece of a stream pass the stream's
        `RunningStatistics`.
        """
        with self._time_step("load"):
            wav = self._load_wav(source)
        with self._time_step("features"):
            start, end = self.frontend.find_bounds(wav) if statistics.trims else (0, len(wav))
            measured = statistics.gather("level", wav[start:end])
            rms, seconds = measure_rms(measured), len(wav) / self.rate
            prepared = self.frontend.match_peak(wav[start:end], measured)
            del wav, measured  # one hour takes 300 MB
            mel, f0 = self.frontend.extract_features(prepared)
        with self._time_step("voice"):
            dvector = self._embed_source_dvector(prepared)
        return SpeechFeatures(mel, f0, rms, start / self.rate, seconds, dvector, statistics)

    @torch.inference_mode()
    def encode(self, heard: SpeechFeatures) -> Source:
        """Does the rest of `analyse`: encodes the content."""
        with self._time_step("content"):
            normalised = self.model.normalise(torch.from_numpy(heard.mel).to(self.device))
            z = self.model.hear_content(normalised.T[None], heard.statistics)
        pitch = PitchStatistics.of(heard.statistics.gather("pitch", heard.f0))
        lf0 = torch.from_numpy(normalise_log_f0(heard.f0, pitch)).to(self.device)[None]
        speaker = self._embed_source_voice(heard, normalised)
        recording = None if speaker is None else describe_recording(self.model, self._take_beginning(normalised))
        return Source(z, lf0, pitch, heard.rms, heard.start_s, heard.seconds, speaker, heard.statistics, recording)

    def target_from_face(self, face: Picture, temperature: float | None = None) -> Target:
        """Recalls the voice for a face, or reads it from a voice card. For a card `temperature` has no effect.

        FaceVCError if there is no usable face, or the model was not trained on faces.
        """
        if isinstance(face, str | Path) and Path(face).suffix.lower() == CARD_SUFFIX:
            return self.target_from_card(face)
        return self.target_from_embedding(self.embed_face(face), temperature)

    def target_from_faces(self, faces: Sequence[Picture], temperature: float | None = None) -> Target:
        """Recalls the voice for the mean embedding of several faces, such as photos of one person.

        Errors as in `target_from_face`.
        """
        if not len(faces):
            raise FaceVCError("target_from_faces needs at least one face, found none.")
        return self.target_from_embedding(np.mean([self.embed_face(face) for face in faces], axis=0), temperature)

    @torch.inference_mode()
    def target_from_embedding(self, embedding: np.ndarray, temperature: float | None = None) -> Target:
        """Recalls the voice for a face embedding (face_dim,) from `embed_face`, or for a mean of several."""
        given = torch.from_numpy(np.asarray(embedding, dtype=np.float32)).to(self.device)
        recalled, address = self.model.recall_face(given[None], temperature)
        settings = None if reads_pictures(self.model) else self.checkpoint.embedders.get("face")
        return follow_face(self.model, Target(recalled, None, address), read_fused(settings, embedding))

    @torch.inference_mode()
    def target_from_voice(self, voice: Recording) -> Target:
        """Measures the voice of a recording: embedding, mean pitch, pitch range, band statistics and content frames."""
        with self._time_step("voice"), name_in_errors(voice):
            mel, f0 = self.frontend.extract_features(self.frontend.prepare(self._load_wav(voice)))
            normalised = self.model.normalise(torch.from_numpy(mel).to(self.device))
            if self.model.needs_dvector:
                dvector = self._load_voice_embedder().embed(load_recording(voice, VOICE_RATE))
                given = torch.from_numpy(dvector).to(self.device)
            else:
                given = normalised.T
            beginning = self._take_beginning(normalised)
            content = self.model.hear_content(beginning.T[None])[0] if self.style.content_retrieval else None
            pitch, voiced = PitchStatistics.of(f0), int((f0 > 0).sum())
            std = pitch.std if voiced >= RANGE_S * self.frontend.definition.frame_rate else None
            bands, speaker = BandStatistics.measure(normalised), self.model.embed_voice(given[None])
            mean = pitch.mean if voiced else None
            recording = describe_recording(self.model, beginning)
            return Target(speaker, mean, content=content, bands=bands, log_f0_std=std, recording=recording)

    @torch.inference_mode()
    def target_from_mix(
        self, targets: Sequence[Target], weights: Sequence[float], temperature: float | None = None
    ) -> Target:
        """Recalls the voice at the weighted mean of the targets' ADDRESSES.

        The address of a recording comes from its voice, at `temperature`. What the memory cannot represent of that
        voice is lost.
        """
        if not targets:
            raise FaceVCError("target_from_mix needs at least one target, found none.")
        memory = self.memory
        addresses = [
            memory.address_voice(t.speaker, temperature) if t.address is None else t.address.log() for t in targets
        ]
        mixed = memory.mix_addresses(torch.cat(addresses), torch.tensor(weights))
        return Target(memory.recall_address(mixed), None, mixed.exp())

    def target_from_card(self, card: VoiceCard | Path | str) -> Target:
        """Returns the voice that a card keeps. FaceVCError if the card is damaged, or another model made it."""
        path = "the voice card" if isinstance(card, VoiceCard) else card
        card = card if isinstance(card, VoiceCard) else load_card(Path(card))
        checkpoint = self.checkpoint
        card.check_model(checkpoint.config.name, checkpoint.weights_sha256, get_card_shape(self), str(path))
        speaker, address = (torch.from_numpy(vector).to(self.device)[None] for vector in (card.speaker, card.address))
        return Target(speaker, None, None if get_style_dim(self.model) else address)

    def make_card(
        self, target: Target, origin: Sequence[Mapping[str, str]], temperature: float | None = None
    ) -> VoiceCard:
        """Makes a card of a recalled target, or of a style. origin: as in VoiceCard."""
        if get_style_dim(self.model):
            return make_style_card(self.checkpoint, target.speaker, origin)
        memory, checkpoint = self.memory, self.checkpoint
        if target.address is None:
            raise FaceVCError("make_card needs a target with an address, found none.")
        speaker, address = (vector[0].float().cpu().numpy() for vector in (target.speaker, target.address))
        scale = memory.temperature if temperature is None else temperature
        return VoiceCard.make(speaker, address, checkpoint.config.name, checkpoint.weights_sha256, scale, origin)

    def apply_pitch_rule(self, target: Target, rule: PitchRule) -> Target:
        """Returns the target with this pitch rule. FaceVCError as in `check_pitch`."""
        self.check_pitch(rule)
        return replace(target, pitch=rule)

    def apply_trait_rule(self, target: Target, rule: TraitRule) -> Target:
        """Moves a recalled voice to the register and the age of the rule. FaceVCError as in `steer_target`."""
        return steer_target(self.model, target, rule, self.checkpoint.config.name)

    def read_voice(self, target: Target) -> VoiceReading | None:
        """Reads what a recalled voice sounds like. None for a recording's voice, or if the model cannot tell."""
        return read_target(self.model, target, self.style.register_evidence)

    def check_pitch(self, rule: PitchRule) -> None:
        """Raises FaceVCError if the rule is not auto and the model takes no pitch level."""
        if rule != AUTO_PITCH and not self.predicts_pitch:
            raise FaceVCError(
                f"--pitch {rule}: the model {self.checkpoint.config.name!r} gets the movement of the pitch but not "
                "its level. The level comes with the voice. Leave --pitch out, or choose a model that gets the "
                "level, such as the bundled one (model.pitch 'comb')."
            )

    def find_log_f0(self, target: Target) -> float:
        """Returns the mean ln F0 (Hz) of the target's own voice: measured if possible, else predicted by the model."""
        return find_log_f0(self.model, target)

    def find_median_hz(self, target: Target) -> float | None:
        """Returns a voice's pitch to .1 Hz. None if the model predicts none."""
        return round(math.exp(self.find_log_f0(target)), 1) if self.predicts_pitch else None

    def choose_pitch(self, source: Source, target: Target) -> PitchStatistics:
        """Chooses mean and deviation of ln F0 by the target's rule. A recalled voice gets the source's range."""
        return choose_pitch(self.model, source, target, self.style.pitch_range_matching)

    def speak(self, source: Source, target: Target) -> np.ndarray:
        """Speaks the source in the target's voice: (n,) float32 at `self.rate`, as long and as loud as the source."""
        return self.speak_many([(source, target)])[0]

    def stream(
        self, target: Target, rate: int | None = None, settings: "StreamSettings | None" = None
    ) -> "StreamingConverter":
        """Converts speech while it is spoken. rate: of input and output in Hz; None: the model's."""
        from facevc_cli.conversion.stream.streaming_converter import StreamingConverter

        return StreamingConverter(self, target, rate, settings)

    @torch.inference_mode()
    def speak_many(self, pairs: Sequence[tuple[Source, Target]]) -> list[np.ndarray]:
        """Does `speak` for each pair, with the network in batches. The sound is the same. Nothing is padded.

        All log-mels are in memory at once. Put the pairs of one source next to each other, so that their shared work is
        done once.
        """
        mels: list[Tensor] = []
        with self._time_step("decoder"):
            for _, same in groupby(pairs, key=lambda pair: id(pair[0])):
                mels += self._decode_voices(list(same))
        with self._time_step("vocoder"):
            spoken = vocode_many(self.vocoder, mels, len(pairs))
        return [self._finish_sound(wav.numpy(), source) for wav, (source, _) in zip(spoken, pairs, strict=True)]

    def _finish_sound(self, wav: np.ndarray, source: Source) -> np.ndarray:
        """Makes a result as loud and as long as its source."""
        measured = source.statistics.gather("result", wav)
        return place_in_silence(match_loudness(wav, source.rms, measured), source, self.rate)

    def _decode_voices(self, pairs: Sequence[tuple[Source, Target]]) -> list[Tensor]:
        """Decodes one source in the voices of its targets: raw log-mels (T, n_mels)."""
        source, targets = pairs[0][0], [target for _, target in pairs]
        pitches = [self.choose_pitch(source, target) for target in targets]
        return decode_voices(self.model, self.style, self.guidance, source, targets, pitches)

    def _embed_source_dvector(self, wav: np.ndarray) -> np.ndarray | None:
        """Embeds the beginning of a trimmed source at the model's rate: (256,).

        None if guidance needs no d-vector, or there is no sound.
        """
        beginning = wav[: GUIDING_S * self.rate]
        if not self.guidance or not self.model.needs_dvector or not np.any(beginning):
            return None
        return self._load_voice_embedder().embed(resample(beginning, self.rate, VOICE_RATE))

    def _embed_source_voice(self, heard: SpeechFeatures, mel: Tensor) -> Tensor | None:
        """Embeds the voice of a source: (1, voice_dim). None without guidance. mel: normalised (T, n_mels)."""
        if self.guidance and not self.model.needs_dvector:
            return self.model.embed_voice(mel[: round(GUIDING_S * self.frontend.definition.frame_rate)].T[None])
        if heard.dvector is None:
            return None
        return self.model.embed_voice(torch.from_numpy(heard.dvector).to(self.device)[None])

    def embed_face(self, face: Picture) -> np.ndarray:
        """Embeds a face with the embedder that this model was trained with: (face_dim,) float32."""
        return np.asarray(self.find_face(face).embedding, dtype=np.float32)

    def find_face(self, face: Picture) -> "FaceObservation":
        """Finds the face in a picture: its box, crop and embedding. FaceVCError if there is none."""
        analyser = self._load_face_analyser()
        with self._time_step("face"), name_in_errors(face):
            from facevc_cli.files.image import load_image

            image = face if isinstance(face, np.ndarray) else load_image(face)
            settings, seen = self.checkpoint.embedders.get("face", {}), analyser.analyse(image)
            return read_picture(self.model, settings, image, seen, self.device)

    def prepare_faces(self) -> None:
        """Loads the face networks now. FaceVCError if the checkpoint has none, or its embedder is not installed."""
        self._load_face_analyser()

    def prepare_speech(self) -> None:
        """Starts to compile the vocoder's kernels, if it has any. The first result then comes half a second sooner."""
        if self.vocoder.steady:
            self.vocoder.compile_ahead()

    def _take_beginning(self, mel: Tensor) -> Tensor:
        """Returns as much of a recording's log-mel (T, n_mels) as is used besides its voice embedding."""
        return mel[: round(RETRIEVED_S * self.frontend.definition.frame_rate)]

    def _load_wav(self, recording: Recording) -> np.ndarray:
        """Loads a recording: (n,) float32 at the model's rate, at least one sample."""
        wav = load_recording(recording, self.rate)
        return wav if len(wav) else np.zeros(1, np.float32)

    def _load_face_analyser(self) -> "FaceAnalyser":
        if self._faces is None:
            settings = self.checkpoint.embedders.get("face")
            if settings is None:
                raise FaceVCError(
                    f"this checkpoint (of {self.checkpoint.stage}) was never trained on faces, so it has no voice for "
                    "a face. Pass --voice WAV instead of --face, or a checkpoint of 'facevc train'."
                )
            from facevc_cli.faces.analyser import make_analyser

            self._faces = make_analyser(settings, self.on_many)
        return self._faces

    def _load_voice_embedder(self) -> "VoiceEmbedder":
        if self._voices is None:
            from facevc_cli.voices.dvector import VoiceEmbedder

            self._voices = VoiceEmbedder(str(self.device) if self.device.type == "cuda" else "cpu")
        return self._voices

    @contextmanager
    def _time_step(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        finally:
            self.timings[step] = self.timings.get(step, 0.0) + time.perf_counter() - started
