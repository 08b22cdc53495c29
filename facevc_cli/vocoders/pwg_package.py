"""Generators of the ParallelWaveGAN repository that have no native code here, through its package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facevc_cli.errors import FaceVCError
from facevc_cli.vocoders import Vocoder

# those that make sound from a log-mel alone
FROM_MEL = ("ParallelWaveGANGenerator", "HiFiGANGenerator", "MelGANGenerator", "StyleMelGANGenerator")


class PackageVocoder(Vocoder):
    """A generator of the package: its reach is not known, so utterances are synthesised whole."""

    mean: Tensor
    scale: Tensor

    def __init__(self, generator: nn.Module, mel: str, mean: Tensor, scale: Tensor, name: str):
        super().__init__(name, mel, None)
        self.generator = generator
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.ready()

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        devices = [log_mel.device] if log_mel.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)  # some draw noise; the same input gives the same sound
            wav = self.generator.inference((log_mel - self.mean) / self.scale)  # type: ignore[operator]
        wav, size = wav.reshape(-1), len(log_mel) * self.hop_samples
        return nn.functional.pad(wav, (0, max(0, size - len(wav))))[:size]


def import_package() -> Any:
    """The package parallel_wavegan, or FaceVCError that says how to install it."""
    try:
        import scipy.signal

        if not hasattr(scipy.signal, "kaiser"):  # moved in scipy 1.13; the package still imports it from there
            scipy.signal.kaiser = scipy.signal.windows.kaiser
        import parallel_wavegan
        import parallel_wavegan.layers
        import parallel_wavegan.models
    except ImportError as error:
        raise FaceVCError(
            f"this generator has no native code here and needs the package parallel_wavegan, which does not import ({error}). "
            "Install it with: pip install wheel; pip install --no-build-isolation --no-deps parallel-wavegan==0.6.1. Or use a "
            "checkpoint whose generator_type is ParallelWaveGANGenerator or HiFiGANGenerator."
        ) from error
    return parallel_wavegan


def load_through_package(
    kind: str,
    parameters: dict[str, Any],
    settings: Mapping[str, Any],
    state: Mapping[str, Tensor],
    checkpoint: Path,
    mel: str,
    stats: tuple[Tensor, Tensor],
) -> PackageVocoder:
    """The package's generator with this checkpoint's weights; FaceVCError where it cannot be built from a log-mel alone."""
    if kind not in FROM_MEL:
        raise FaceVCError(f"{checkpoint}: a {kind} does not make sound from a log-mel alone. Expected one of {', '.join(FROM_MEL)}.")
    package = import_package()
    try:
        generator = getattr(package.models, kind)(**parameters)
        generator.load_state_dict(state)
        subbands = parameters.get("out_channels", 1)
        if subbands > 1:
            # the repository's own defaults up to 0.4.2, before configs named them
            early = [int(n) for n in str(settings.get("version", "0.1.0")).split(".")[:3] if n.isdigit()] <= [0, 4, 2]
            default = {"taps": 62, "cutoff_ratio": 0.15, "beta": 9.0} if early else {}
            generator.pqmf = package.layers.PQMF(subbands=subbands, **settings.get("pqmf_params", default))
        generator.remove_weight_norm()
    except (AssertionError, AttributeError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FaceVCError(f"{checkpoint} does not fit the {kind} that its config describes ({reason}).") from error
    return PackageVocoder(generator, mel, *stats, f"{kind.removesuffix('Generator')} {checkpoint.name}")
