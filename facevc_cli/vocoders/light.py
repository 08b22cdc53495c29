"""A small, fast vocoder: it computes a complex spectrum for each frame, and the inverse STFT makes the waveform.

Source: Siuzdak, "Vocos", 2023 (arXiv 2306.00814). ConvNeXt blocks work on frames, so no layer runs at the rate of
samples. recipes/vocoder trains it to speak like HiFi-GAN.

A checkpoint is a folder of `model.safetensors` and `config.yaml`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import dump_yaml, parse_settings, read_text, shorten
from facevc_cli.core.settings import from_dict, to_dict
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.dsp.mel import MEL_DEFINITIONS, MelDefinition
from facevc_cli.files.hashes import hash_file
from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.definitions import check_sizes, require_definition
from facevc_cli.vocoders.weights import check_described, load_exactly

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
FORMAT, KIND = 1, "light"
CENTRE, SPREAD = -5.0, 2.5  # nepers; about the mean and the deviation of speech's log-mels
LOUDEST = 100.0  # largest magnitude of a bin; a sine of amplitude 1 has 256
FIRST_SCALE = 0.15  # of a block's output before training


@dataclass(frozen=True, kw_only=True)
class LightSizes:
    """The hyper-parameters. Bands, hop and FFT size are those of the mel definition."""

    channels: int = 320
    blocks: int = 8
    kernel: int = 7
    expansion: int = 3  # channels inside a block, as a multiple


class ConvNextBlock(nn.Module):
    """Mixes over time within a channel, then over channels within a frame, with a shortcut.

    (B, channels, T) -> same. Source: Liu et al., "A ConvNet for the 2020s", 2022.
    """

    def __init__(self, sizes: LightSizes):
        super().__init__()
        width = sizes.channels
        self.over_time = nn.Conv1d(width, width, sizes.kernel, padding=sizes.kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = (
            nn.Linear(width, sizes.expansion * width),
            nn.Linear(sizes.expansion * width, width),
        )
        self.scale = nn.Parameter(torch.full((width,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.over_time(x).transpose(1, 2))
        y = self.narrow(F.gelu(self.widen(y))) * self.scale
        return x + y.transpose(1, 2)


class LightGenerator(nn.Module):
    """Raw log-mel (B, T, n_mels) -> waveform (B, T * hop_samples)."""

    window: Tensor

    def __init__(self, sizes: LightSizes, definition: MelDefinition):
        super().__init__()
        if sizes.kernel % 2 == 0:
            raise ValueError(f"kernel {sizes.kernel} is even")
        if definition.centred or definition.n_fft % definition.hop_samples:
            raise ValueError(f"the mel definition {definition.name} has centred frames or an uneven hop")
        self.sizes, self.definition = sizes, definition
        bins = definition.n_fft // 2 + 1
        self.enter = nn.Conv1d(definition.n_mels, sizes.channels, sizes.kernel, padding=sizes.kernel // 2)
        self.blocks = nn.ModuleList(ConvNextBlock(sizes) for _ in range(sizes.blocks))
        self.norm = nn.LayerNorm(sizes.channels)
        self.leave = nn.Linear(sizes.channels, 2 * bins)
        self.register_buffer("window", torch.hann_window(definition.n_fft), persistent=False)

    @property
    def context_frames(self) -> int:
        """Frames on either side that reach a sample."""
        overlap = self.definition.n_fft // self.definition.hop_samples // 2
        return (1 + self.sizes.blocks) * (self.sizes.kernel // 2) + overlap

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.invert(torch.complex(*self.predict_spectrum(log_mel)))

    def predict_spectrum(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the real and the imaginary part (B, T, bins) of each frame's spectrum."""
        x = self.enter((log_mel.transpose(1, 2) - CENTRE) / SPREAD)
        for block in self.blocks:
            x = block(x)
        log_magnitude, phase = self.leave(self.norm(x.transpose(1, 2))).float().chunk(2, dim=2)
        magnitude = log_magnitude.exp().clamp(max=LOUDEST)
        return magnitude * phase.cos(), magnitude * phase.sin()

    def invert(self, spectrum: Tensor) -> Tensor:
        """(B, T, bins) -> (B, T * hop): the least-squares inverse STFT of frames that lie as the log-mel's do.

        Frame t is centred on the middle of its hop samples, so T frames give T * hop samples.
        """
        return self.overlap(torch.fft.irfft(spectrum, self.definition.n_fft) * self.window)

    def overlap(self, frames: Tensor) -> Tensor:
        """Windowed frames (B, T, n_fft) -> (B, T * hop)."""
        d = self.definition
        side = (d.n_fft - d.hop_samples) // 2
        weights = (self.window**2).expand(1, frames.shape[1], -1)
        return (self._add_overlapping(frames) / self._add_overlapping(weights).clamp_min(1e-3))[:, side:-side]

    def _add_overlapping(self, frames: Tensor) -> Tensor:
        """(B, T, n_fft) -> (B, (T - 1) * hop + n_fft). Each frame is cut in pieces of one hop."""
        hop = self.definition.hop_samples
        pieces = frames.unflatten(2, (-1, hop))
        count = pieces.shape[2]
        added = sum(F.pad(pieces[:, :, i], (0, 0, i, count - 1 - i)) for i in range(count))
        return torch.as_tensor(added).flatten(1)


class LightVocoder(Vocoder):
    """The generator as a vocoder."""

    def __init__(self, generator: LightGenerator, name: str = KIND):
        super().__init__(name, generator.definition.name, generator.context_frames)
        self.generator = generator
        self.freeze()

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        return self.synthesise_batch(log_mel[None], [start_frame])[0]

    def synthesise_batch(self, log_mels: Tensor, start_frames: Sequence[int]) -> Tensor:
        return self.generator(log_mels).clamp(-1, 1)

    def make_graph_module(self) -> nn.Module:
        return LightGraph(self.generator)


class LightGraph(nn.Module):
    """The vocoder as a graph for other programs: the inverse DFT is a product with two matrices."""

    def __init__(self, generator: LightGenerator):
        super().__init__()
        self.generator = generator
        size = generator.definition.n_fft
        angles = torch.outer(torch.arange(size // 2 + 1), torch.arange(size)) % size * (2 * torch.pi / size)
        share = torch.full((size // 2 + 1, 1), 2 / size, dtype=torch.float64)
        share[[0, -1]] = 1 / size  # all other bins count for their mirror image, too
        for name, wave in (("cosines", angles.double().cos()), ("sines", -angles.double().sin())):
            self.register_buffer(name, (share * wave).float() * generator.window)
        self.cosines: Tensor
        self.sines: Tensor

    def forward(self, log_mels: Tensor) -> Tensor:
        real, imaginary = self.generator.predict_spectrum(log_mels)
        return self.generator.overlap(real @ self.cosines + imaginary @ self.sines).clamp(-1, 1)


def save_light(
    folder: Path, generator: nn.Module, sizes: LightSizes, mel: str, step: int, dtype: torch.dtype, origin: str = ""
) -> None:
    """Writes the checkpoint's two files into an existing folder. It does not write atomically.

    dtype: of the weights on disk. origin: one line for people, which says what it was trained on.
    """
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in generator.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes the file readable by its owner only
    header = {
        "format": FORMAT,
        "vocoder": KIND,
        "facevc": __version__,
        "step": step,
        "origin": origin,
        "weights_sha256": hash_file(folder / WEIGHTS),
        "audio": MEL_DEFINITIONS[mel].as_settings(),
        "sizes": to_dict(sizes),
    }
    (folder / CONFIG).write_text(dump_yaml(header), encoding="utf-8")


def load_light(folder: Path, mel: str) -> LightVocoder:
    """Loads a checkpoint's folder.

    FaceVCError if a file is missing or damaged, the weights do not fit the config, or it was trained on log-mels of
    another definition.
    """
    config, weights = folder / CONFIG, folder / WEIGHTS
    header = read_header(folder)
    require_definition(header["audio"], mel, config)
    state = read_light_weights(folder, header)
    sizes = check_sizes(from_dict(LightSizes, header["sizes"], str(config)), config)
    definition = MEL_DEFINITIONS[mel]
    check_described(lambda: LightGenerator(sizes, definition), state, weights, config)
    with skip_weight_init():
        generator = LightGenerator(sizes, definition)
    load_exactly(generator, state, weights, config)
    return LightVocoder(generator, f"{KIND} {header['weights_sha256'][:8]}")


def read_header(folder: Path) -> dict[str, Any]:
    """Reads config.yaml. FaceVCError if it is not that of such a checkpoint."""
    config = folder / CONFIG
    header = parse_settings(read_text(config), str(config))
    wanted = {"weights_sha256": str, "audio": dict, "sizes": dict, "step": int}
    if header.get("format") != FORMAT or header.get("vocoder") != KIND:
        raise FaceVCError(
            f"{config}: expected 'vocoder: {KIND}' of format {FORMAT}, found {shorten(header.get('vocoder'))} of "
            f"format {shorten(header.get('format'))}. Copy the vocoder's folder again, or update facevc."
        )
    for name, kind in wanted.items():
        if not isinstance(header.get(name), kind):
            raise FaceVCError(
                f"{config}: {name}: expected {kind.__name__}, found {shorten(header.get(name))}. Copy the vocoder's "
                "folder again."
            )
    return header


def read_light_weights(folder: Path, header: Mapping[str, Any]) -> dict[str, Tensor]:
    """Reads the weights as float32. FaceVCError if their sha256 is not the config's, or one is not finite."""
    path = folder / WEIGHTS
    if not path.is_file() or hash_file(path) != header["weights_sha256"]:
        raise FaceVCError(
            f"{path}: expected the weights with the sha256 {shorten(header['weights_sha256'])} that {CONFIG} names, "
            f"found {'others' if path.is_file() else 'no file'}: the file is damaged or of another training. Copy the "
            "folder again."
        )
    try:
        state = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise FaceVCError(f"{path}: not a whole safetensors file ({error}). Copy the folder again.") from error
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise FaceVCError(f"{path}: {shorten(broken[0])} holds NaN or infinity. Take an earlier checkpoint.")
    return state
