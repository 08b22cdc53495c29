"""Turns a voice spec into a target voice, for the command line, `nearest`, `voice-card` and the page."""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.traits import AUTO_TRAITS, TraitRule
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import VoiceReading
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule
from facevc_cli.faces.degradation import degrade
from facevc_cli.files.image import load_image
from facevc_cli.manifest.manifest import Addresses


class VoiceResolver:
    """Makes each voice once and reads each picture once. It keeps the results and the errors.

    addresses: stores the memory's address of each single picture; None stores nothing. A subclass may read files in
    another way (`embed_picture`, `read_card`) and give them other names (`name_file`).
    """

    def __init__(
        self,
        converter: Converter,
        temperature: float | None = None,
        addresses: Addresses | None = None,
        reporter: Reporter = SILENT,
        pitch: PitchRule = AUTO_PITCH,
        traits: TraitRule = AUTO_TRAITS,
    ):
        self.converter, self.temperature, self.addresses = converter, temperature, addresses
        self.reporter, self.pitch, self.traits = reporter, pitch, traits
        self._targets: dict[VoiceSpec, Target | FaceVCError] = {}  # before the rules
        self._finished: dict[VoiceSpec, Target] = {}
        self._readings: dict[VoiceSpec, VoiceReading | None] = {}
        self._embeddings: dict[tuple[Path, str], np.ndarray | FaceVCError] = {}  # by file and degradation

    def resolve(self, spec: VoiceSpec) -> Target:
        """Returns the voice. FaceVCError if a file cannot be used, or none of a person's pictures can."""
        if spec not in self._finished:
            steered = self.converter.apply_trait_rule(self._find_target(spec), self.traits)
            self._finished[spec] = self.converter.apply_pitch_rule(steered, self.pitch)
        return self._finished[spec]

    def read_voice(self, spec: VoiceSpec) -> VoiceReading | None:
        """Reads what the voice sounds like before the rules. None unless it comes from a picture. Errors as in
        `resolve`.

        The reporter is told once of each voice whose register is doubtful, unless the rule says which it gets.
        """
        if spec not in self._readings:
            target = self._find_target(spec)
            reading = self._readings[spec] = self.converter.read_voice(target) if spec.has_pictures else None
            if reading is not None and reading.is_doubtful and self.traits.register is None:
                self.reporter.note(reading.advise(str(spec)))
        return self._readings[spec]

    def _find_target(self, spec: VoiceSpec) -> Target:
        if spec not in self._targets:
            try:
                self._targets[spec] = self._make_target(spec)
            except FaceVCError as error:
                self._targets[spec] = error
        found = self._targets[spec]
        if isinstance(found, FaceVCError):
            raise found
        return found

    def find_left_out(self, spec: VoiceSpec) -> dict[Path, FaceVCError]:
        """Finds the pictures without a usable face, with the error of each."""
        if spec.parts:
            return {file: error for part, _ in spec.parts for file, error in self.find_left_out(part).items()}
        if spec.kind != "face":
            return {}
        looked = {file: self._look(file, spec.degradation) for file in spec.files}
        return {file: found for file, found in looked.items() if isinstance(found, FaceVCError)}

    def drop_unusable(self, spec: VoiceSpec) -> VoiceSpec:
        """Returns the spec without a person's unusable pictures. FaceVCError if none can be used."""
        if spec.kind != "face":
            return spec
        left_out = self.find_left_out(spec)
        usable = spec.leave_out(left_out) if left_out else spec
        if not usable.people:
            first = next(iter(left_out.values()))
            if spec.name:
                raise FaceVCError(f"{self._describe(spec)}: none of them can be used, the first: {first}") from first
            raise first
        return usable

    def used_files(self, spec: VoiceSpec) -> list[Path]:
        """Lists the files that the voice comes from."""
        return [file for file, _ in self.weigh_files(spec)]

    def weigh_files(self, spec: VoiceSpec) -> list[tuple[Path, float]]:
        """Lists the files that the voice comes from, each with its share of the voice. The shares sum to 1."""
        if spec.parts:
            return [(file, weight * share) for part, share in spec.parts for file, weight in self.weigh_files(part)]
        people = self.drop_unusable(spec).people
        return [(file, 1 / (len(people) * len(files))) for files in people for file in files]

    def keep_only(self, files: Iterable[Path]) -> None:
        """Forgets other files, and all voices of pictures and mixes, because these are quickly made again."""
        kept = set(files)
        self._embeddings = {place: found for place, found in self._embeddings.items() if place[0] in kept}
        self._finished, self._readings = {}, {}
        self._targets = {
            spec: found
            for spec, found in self._targets.items()
            if spec.kind in ("card", "voice") and kept.issuperset(spec.files)
        }

    def embed_picture(self, file: Path, degradation: str) -> np.ndarray:
        """Embeds the face in a picture: (face_dim,). FaceVCError if there is none. A note tells of further faces."""
        if not degradation:
            seen = self.converter.find_face(file)
            if seen.faces > 1:
                self.reporter.note(
                    f"{self.name_file(file)}: {seen.faces} faces were found, and the largest is used. --on-many skip "
                    "refuses such a picture."
                )
            return np.asarray(seen.embedding, dtype=np.float32)
        try:
            return self.converter.embed_face(degrade(load_image(file), degradation))
        except FaceVCError as error:
            raise FaceVCError(f"{file} degraded by {degradation}: {error}") from error

    def read_card(self, file: Path) -> Target:
        """Reads the voice of a card. FaceVCError if it is damaged, or another model made it."""
        return self.converter.target_from_card(file)

    def name_file(self, file: Path) -> str:
        """Returns the name of a file in messages."""
        return file.name

    def _make_target(self, spec: VoiceSpec) -> Target:
        if spec.kind == "mix":
            parts, shares = zip(*spec.parts, strict=True)
            return self.converter.target_from_mix([self._find_target(part) for part in parts], shares, self.temperature)
        if spec.kind == "card":
            return self.read_card(spec.files[0])
        if spec.kind == "voice":
            return self.converter.target_from_voice(spec.files[0])
        return self._recall_face(spec)

    def _recall_face(self, spec: VoiceSpec) -> Target:
        """Recalls the voice for the mean face of the people.

        Each person counts equally, as the mean of the usable pictures.
        """
        usable, left_out = self.drop_unusable(spec), list(self.find_left_out(spec).values())
        if left_out:
            count = len(left_out)
            self.reporter.note(f"{self._describe(spec)}: {count} of them cannot be used, the first: {left_out[0]}")
        means = [np.mean(self._embed(files, spec.degradation), axis=0) for files in usable.people]
        target = self.converter.target_from_embedding(np.mean(means, axis=0), self.temperature)
        if self.addresses is not None and spec.file and not spec.degradation and target.address is not None:
            self.addresses.put(spec.file, target.address[0].float().cpu().numpy())
        return target

    def _embed(self, files: Collection[Path], degradation: str) -> list[np.ndarray]:
        """Embeds the pictures that can be used."""
        looked = (self._look(file, degradation) for file in files)
        return [found for found in looked if not isinstance(found, FaceVCError)]

    def _look(self, file: Path, degradation: str) -> np.ndarray | FaceVCError:
        place = (file, degradation)
        if place not in self._embeddings:
            try:
                self._embeddings[place] = self.embed_picture(file, degradation)
            except FaceVCError as error:
                self._embeddings[place] = error
        return self._embeddings[place]

    def _describe(self, spec: VoiceSpec) -> str:
        return spec.describe(self.name_file)
