"""convert_landmarks.py PACKAGES OUT.safetensors: MediaPipe's face_landmark.tflite -> our LandmarkNetwork, float16.

The file's own weights are float16. The result is compared with the original on drawn pictures.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tflite import Interpreter, read_operations, use_packages

from facevc_cli.faces.networks.landmarks import SIDE_PX, LandmarkNetwork

MOST_APART_PX = 0.01


def convert(path: Path) -> LandmarkNetwork:
    operations = read_operations(path)
    by_output = {made: (name, given) for name, given, made in operations}
    users = [(name, given, made) for name, given, made in operations if name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    slopes = {given[0]: given[1] for name, given, _ in operations if name == "PRELU"}
    sums = {term: made for name, given, made in operations if name == "ADD" for term in given}
    state: dict[str, np.ndarray] = {}

    def take(name: str, given: list[Any], prefix: str) -> None:
        kernel = given[1].transpose((3, 0, 1, 2) if name == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2))
        state[f"{prefix}.weight"], state[f"{prefix}.bias"] = kernel, given[2]

    def take_block(depthwise: tuple[str, list[Any], int], prefix: str) -> int:
        """Takes a block by its depthwise convolution. Returns what its PReLU gives."""
        name, given, made = depthwise
        take(name, given, f"{prefix}.depthwise")
        pointwise = next(user for user in users if user[1][0] == made)
        take(pointwise[0], pointwise[1], f"{prefix}.pointwise")
        return take_slopes(sums[pointwise[2]], prefix)

    def take_slopes(before: int, prefix: str) -> int:
        state[f"{prefix}.activation.weight"] = slopes[before].ravel()
        return next(made for name, given, made in operations if name == "PRELU" and given[0] == before)

    def follow(place: int) -> list[tuple[str, list[Any], int]]:
        return [user for user in users if user[1][0] == place]

    take(users[0][0], users[0][1], "first")
    state["activation.weight"] = slopes[users[0][2]].ravel()
    place = next(made for name, given, made in operations if name == "PRELU" and given[0] == users[0][2])
    count = 0
    while len(found := follow(place)) == 1:
        place = take_block(found[0], f"blocks.{count}")
        count += 1
    for depthwise in found:  # the two heads begin at the same place
        ends = _find_outputs(depthwise[2], by_output)
        head = "points" if ends == 1404 else "face"
        inner, blocks = take_block(depthwise, f"{head}.blocks.0"), 1
        while (user := follow(inner)[0])[0] == "DEPTHWISE_CONV_2D":
            inner, blocks = take_block(user, f"{head}.blocks.{blocks}"), blocks + 1
        take(user[0], user[1], f"{head}.narrow")
        inner = take_slopes(user[2], head)
        inner = take_block(follow(inner)[0], f"{head}.block")
        take(*follow(inner)[0][:2], f"{head}.last")
    network = LandmarkNetwork()
    network.load_state_dict({name: torch.tensor(np.array(value, np.float32)) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def _find_outputs(place: int, by_output: dict[int, tuple[str, list[Any]]]) -> int:
    """Returns the channels of the last convolution after a place, which must not split."""
    reached, channels = {place}, 0
    for made, (name, given) in by_output.items():  # in the order of the file
        if any(isinstance(one, int) and one in reached for one in given):
            reached.add(made)
            if name == "CONV_2D":
                channels = len(given[1])
    return channels


def check(path: Path, network: LandmarkNetwork) -> None:
    """Ends the run if the two differ by more than rounding."""
    original, rng = Interpreter(path), np.random.default_rng(0)
    for i in range(3):
        coarse = torch.from_numpy(rng.uniform(0, 1, (1, 3, 12, 12)).astype(np.float32))
        pixels = torch.nn.functional.interpolate(coarse, (SIDE_PX, SIDE_PX), mode="bilinear")
        outputs = {len(one.ravel()): one.ravel() for one in original.run(pixels.permute(0, 2, 3, 1).numpy())}
        points, logit = network(pixels)
        apart = float(np.abs(points.numpy().ravel() - outputs[1404]).max())
        print(
            f"picture {i}: points at most {apart:.1e} px apart, logits {logit.item():.4f} and {outputs[1].item():.4f}"
        )
        if not (apart < MOST_APART_PX and abs(logit.item() - outputs[1].item()) < 1e-3):
            raise SystemExit(f"expected less than {MOST_APART_PX} px.")


def main(packages: Path, out: Path) -> None:
    from safetensors.torch import save_file

    use_packages(packages)
    path = packages / "face_landmark.tflite"
    network = convert(path)
    check(path, network)
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
