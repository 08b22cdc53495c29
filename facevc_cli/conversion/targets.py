"""From what drives a conversion to the voice that it speaks in."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.drivers import Driver
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
    known: dict[Driver, Target | FaceVCError] = field(default_factory=dict)
    embeddings: dict[tuple[Path, str], np.ndarray | FaceVCError] = field(default_factory=dict)

    def get(self, driver: Driver) -> Target:
        if driver not in self.known:
            try:
                self.known[driver] = self.converter.pitched(self._made(driver), self.pitch)
            except FaceVCError as error:
                self.known[driver] = error
        found = self.known[driver]
        if isinstance(found, FaceVCError):
            raise found
        return found

    def used(self, driver: Driver) -> list[Path]:
        """Of a driver that `get` knows, the files that the voice comes from: without pictures that show no usable face."""
        if driver.parts:
            return [file for part, _ in driver.parts for file in self.used(part)]
        return [file for file in driver.files if not isinstance(self.embeddings.get((file, driver.degradation)), FaceVCError)]

    def _made(self, driver: Driver) -> Target:
        if driver.by == "mix":
            parts, shares = zip(*driver.parts, strict=True)
            return self.converter.target_from_mix([self.get(part) for part in parts], shares, self.temperature)
        if driver.by == "card":
            return self.converter.target_from_card(driver.files[0])
        if driver.by == "voice":
            return self.converter.target_from_voice(driver.files[0])
        return self._face(driver)

    def _face(self, driver: Driver) -> Target:
        people = [[self._embedding(file, driver.degradation) for file in files] for files in driver.people]
        failed = [found for person in people for found in person if isinstance(found, FaceVCError)]
        usable = [[found for found in person if not isinstance(found, FaceVCError)] for person in people]
        means = [np.mean(person, axis=0) for person in usable if person]
        if not means:
            if driver.name:
                raise FaceVCError(f"{driver}: none of them can be used, the first: {failed[0]}") from failed[0]
            raise failed[0]
        if failed:
            self.reporter.note(f"{driver}: {len(failed)} of them cannot be used, the first: {failed[0]}")
        target = self.converter.target_from_embedding(np.mean(means, axis=0), self.temperature)
        if driver.file and not driver.degradation and target.address is not None:
            self.addresses.put(driver.file, target.address[0].float().cpu().numpy())
        return target

    def _embedding(self, file: Path, degradation: str) -> np.ndarray | FaceVCError:
        place = (file, degradation)
        if place not in self.embeddings:
            try:
                self.embeddings[place] = self.converter.embed_face(degrade(load_image(file), degradation) if degradation else file)
            except FaceVCError as error:
                self.embeddings[place] = FaceVCError(f"{file} degraded by {degradation}: {error}") if degradation else error
        return self.embeddings[place]
