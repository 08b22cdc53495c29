"""Makes vocoders.npz: what the generators of the package parallel_wavegan 0.6.1 compute from weights that anybody can
draw again.

    python tests/golden/make_vocoders.py        (where parallel_wavegan is importable)

Keys of the file: `cases`, a JSON object: case -> {kind, parameters, shapes (state-dict key -> shape)}; CASE: its output
(samples,).
"""

import json
import zlib
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("vocoders.npz")
FRAMES = 9
CASES = {
    "wavegan": (
        "ParallelWaveGANGenerator",
        {
            "layers": 6,
            "stacks": 2,
            "residual_channels": 8,
            "gate_channels": 12,
            "skip_channels": 10,
            "aux_channels": 80,
            "aux_context_window": 2,
            "upsample_params": {"upsample_scales": [4, 5, 8]},
        },
    ),
    "wavegan_plain": (
        "ParallelWaveGANGenerator",
        {
            "layers": 4,
            "stacks": 1,
            "kernel_size": 5,
            "residual_channels": 8,
            "gate_channels": 16,
            "skip_channels": 8,
            "aux_channels": 80,
            "aux_context_window": 0,
            "bias": False,
            "upsample_net": "UpsampleNetwork",
            "upsample_params": {"upsample_scales": [10, 16], "freq_axis_kernel_size": 3},
        },
    ),
    "hifigan": (
        "HiFiGANGenerator",
        {
            "in_channels": 80,
            "channels": 32,
            "upsample_scales": [8, 5, 4],
            "upsample_kernel_sizes": [16, 10, 8],
            "resblock_kernel_sizes": [3, 7],
            "resblock_dilations": [[1, 3, 5], [1, 2, 4]],
        },
    ),
    "hifigan_single": (
        "HiFiGANGenerator",
        {
            "in_channels": 80,
            "channels": 16,
            "upsample_scales": [8, 5, 4],
            "upsample_kernel_sizes": [16, 10, 8],
            "kernel_size": 5,
            "resblock_kernel_sizes": [3, 5],
            "resblock_dilations": [[1, 2], [2, 6]],
            "use_additional_convs": False,
            "nonlinear_activation_params": {"negative_slope": 0.2},
        },
    ),
}


def draw(case: str, key: str, shape: list[int]) -> np.ndarray:
    """A tensor of one case, float32, by its name alone."""
    x = (
        np.random.Generator(np.random.PCG64(zlib.crc32(f"{case}/{key}".encode())))
        .standard_normal(shape)
        .astype(np.float32)
    )
    if key in ("in", "noise"):
        return x
    if key.endswith("weight_g"):
        return np.abs(x) + np.float32(0.5)
    return x / np.float32(np.sqrt(np.prod(shape[1:]))) if len(shape) > 1 else np.float32(0.1) * x


def main() -> None:
    import scipy.signal
    import torch

    scipy.signal.kaiser = scipy.signal.windows.kaiser
    from parallel_wavegan import models

    arrays, cases = {}, {}
    for case, (kind, parameters) in CASES.items():
        generator = getattr(models, kind)(**json.loads(json.dumps(parameters))).eval()
        shapes = {key: list(value.shape) for key, value in generator.state_dict().items()}
        generator.load_state_dict({key: torch.from_numpy(draw(case, key, shape)) for key, shape in shapes.items()})
        inputs = {"c": torch.from_numpy(draw(case, "in", [FRAMES, 80]))}
        if kind == "ParallelWaveGANGenerator":
            inputs["x"] = torch.from_numpy(draw(case, "noise", [FRAMES * 160]))[:, None]
        with torch.no_grad():
            arrays[case] = generator.inference(**inputs)[:, 0].numpy()
        cases[case] = {"kind": kind, "parameters": parameters, "shapes": shapes}
    np.savez_compressed(TARGET, cases=json.dumps(cases), **arrays)


if __name__ == "__main__":
    main()
