"""From what drives a conversion to the voice that it speaks in."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Reporter
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule
from facevc_cli.faces.degradation import degrade
from facevc_cli.files.image import load_image
from facevc_cli.manifest.manifest import Addresses


@dataclass
class Targets:
    """Targets by what drives them, and embeddings by picture; each looked at once, and kept as what it gave or why it failed."""

    converter: Converter
    temperature: float | None
    addresses: Addresses
    reporter: Reporter
    pitch: PitchRule = AUTO_PITCH
    known: dict[VoiceSpec, Target | FaceVCError] = field(default_factory=dict)
    embeddings: dict[tuple[Path, str], np.ndarray | FaceVCError] = field(default_factory=dict)

    def get(self, spec: VoiceSpec) -> Target:
        if spec not in self.known:
            try:
                self.known[spec] = self.converter.pitched(self._made(spec), self.pitch)
            except FaceVCError as error:
                self.known[spec] = error
        found = self.known[spec]
        if isinstance(found, FaceVCError):
            raise found
        return found

    def used(self, spec: VoiceSpec) -> list[Path]:
        """Of a spec that `get` knows, the files that the voice comes from: without pictures that show no usable face."""
        if spec.parts:
            return [file for part, _ in spec.parts for file in self.used(part)]
        return [file for file in spec.files if not isinstance(self.embeddings.get((file, spec.degradation)), FaceVCError)]

    def _made(self, spec: VoiceSpec) -> Target:
        if spec.kind == "mix":
            parts, shares = zip(*spec.parts, strict=True)
            return self.converter.target_from_mix([self.get(part) for part in parts], shares, self.temperature)
        if spec.kind == "card":
            return self.converter.target_from_card(spec.files[0])
        if spec.kind == "voice":
            return self.converter.target_from_voice(spec.files[0])
        return self._face(spec)

    def _face(self, spec: VoiceSpec) -> Target:
        people = [[self._embedding(file, spec.degradation) for file in files] for files in spec.people]
        failed = [found for person in people for found in person if isinstance(found, FaceVCError)]
        usable = [[found for found in person if not isinstance(found, FaceVCError)] for person in people]
        means = [np.mean(person, axis=0) for person in usable if person]
        if not means:
            if spec.name:
                raise FaceVCError(f"{spec}: none of them can be used, the first: {failed[0]}") from failed[0]
            raise failed[0]
        if failed:
            self.reporter.note(f"{spec}: {len(failed)} of them cannot be used, the first: {failed[0]}")
        target = self.converter.target_from_embedding(np.mean(means, axis=0), self.temperature)
        if spec.file and not spec.degradation and target.address is not None:
            self.addresses.put(spec.file, target.address[0].float().cpu().numpy())
        return target

    def _embedding(self, file: Path, degradation: str) -> np.ndarray | FaceVCError:
        place = (file, degradation)
        if place not in self.embeddings:
            try:
                self.embeddings[place] = self.converter.embed_face(degrade(load_image(file), degradation) if degradation else file)
            except FaceVCError as error:
                self.embeddings[place] = FaceVCError(f"{file} degraded by {degradation}: {error}") if degradation else error
        return self.embeddings[place]
