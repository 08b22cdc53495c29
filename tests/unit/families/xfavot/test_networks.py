"""families/xfavot/networks: the shapes and parameters of the paper's table, and what each network does."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.xfavot.config import ModelConfig
from facevc_cli.families.xfavot.model import (
    build_model,
    make_audio_discriminator,
    make_image_discriminator,
)
from facevc_cli.families.xfavot.networks.blocks import (
    AdaptiveNorm,
    Block,
    convolve_and_halve,
    halve,
    initialise,
)
from facevc_cli.families.xfavot.networks.generators import AudioGenerator, Generator
from facevc_cli.families.xfavot.networks.mapping import MappingNetwork
from facevc_cli.families.xfavot.networks.pitch import PitchEncoder, PitchReader
from facevc_cli.families.xfavot.networks.readers import StyleEncoder, Trunk

SMALL = ModelConfig(
    image_px=64, image_channels=24, audio_channels=24, most_channels=128, mapping_dim=256, shared_mapping=True
)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# Counted by hand from the table's widths; k: side of a kernel.


def conv(a, b, k, bias=True):
    return a * b * k * k + b * bias


def down(a, b, norm):
    """Two 3 x 3, the first as wide as the input; a shortcut where the width changes; norms have scale and shift."""
    return conv(a, a, 3) + conv(a, b, 3) + (a != b) * conv(a, b, 1, False) + norm * 4 * a


def adaptive(a, b, style=64):
    """Two 3 x 3, the first makes the width; each norm has a linear layer from the style to scale and shift."""
    own = (style + 1) * 2 * a + (style + 1) * 2 * b
    return conv(a, b, 3) + conv(b, b, 3) + (a != b) * conv(a, b, 1, False) + own


def generator(channels, widths, beside=0):
    steps, deep = list(itertools.pairwise(widths)), widths[-1]
    total = conv(channels, widths[0], 1) + sum(down(a, b, True) for a, b in steps) + 2 * down(deep, deep, True)
    total += adaptive(deep + beside, deep) + adaptive(deep, deep) + sum(adaptive(b, a) for a, b in steps)
    return total + 2 * widths[0] + conv(widths[0], channels, 1)


def trunk(channels, widths, k):
    blocks = sum(down(a, b, False) for a, b in itertools.pairwise(widths))
    return conv(channels, widths[0], 1) + blocks + conv(widths[-1], widths[-1], k)


def linear(a, b):
    return a * b + b


def build_without_memory(config):
    with torch.device("meta"):  # the full model has 250 million parameters
        return build_model(config, "the test"), make_image_discriminator(config), make_audio_discriminator(config)


def test_every_row_of_the_table():
    model, image, audio = build_without_memory(ModelConfig())
    pitch = (2 * 5 + 1) * 128 + (128 * 5 + 1) * 128  # two 1-D convolutions of 5
    deep = 512
    assert count(model.image.generator) == generator(3, [128, 256, 512, 512, 512])
    assert count(model.audio.generator) == generator(1, [64, 128, 256, 512, 512], beside=128) + pitch
    image_trunk = trunk(3, [128, 256, 512, 512, 512, 512], 4)
    audio_trunk = trunk(1, [64, 128, 256, 512, 512], 5)
    heads = 2 * linear(deep, 64) + linear(deep, 2)  # a style for each gender, and the guess of the gender
    assert count(model.image.style) == image_trunk + heads
    assert count(model.audio.style) == audio_trunk + heads
    assert count(image) == image_trunk + linear(deep, 2)
    assert count(audio) == audio_trunk + linear(deep, 130)  # two genders and 128 speakers
    branch = 3 * linear(512, 512) + linear(512, 64)
    assert count(model.mapping) == linear(16, 512) + 3 * linear(512, 512) + 130 * branch
    assert 106e6 < 130 * branch < 108e6


def test_the_small_preset_is_as_large_as_was_measured():
    model, image, _ = build_without_memory(SMALL)
    measured = {model.image.generator: 1.89e6, image: 0.85e6, model.image.style: 0.86e6}
    assert all(abs(count(network) - wanted) < 0.005e6 for network, wanted in measured.items())
    assert count(model.mapping) < 0.6e6


def test_shapes_of_the_table():
    model, image, audio = build_without_memory(ModelConfig())
    with torch.device("meta"):
        picture, mel, style = torch.zeros(2, 3, 128, 128), torch.zeros(2, 1, 80, 192), torch.zeros(2, 64)
        gender, log_f0 = torch.zeros(2, dtype=torch.long), torch.zeros(2, 192)
        assert model.image.generator.encode(picture).shape == (2, 512, 8, 8)
        assert model.image.generator(picture, style).shape == picture.shape
        assert model.audio.generator.encode(mel).shape == (2, 512, 5, 48)
        assert model.audio.generator.styled[0].conv1.in_channels == 640
        assert model.audio.generator(mel, style, log_f0).shape == mel.shape
        assert model.image.style(picture, gender).shape == model.audio.style(mel, gender).shape == (2, 64)
        assert model.image.style.trunk.end.kernel_size == (4, 4)
        assert model.audio.style.trunk.end.kernel_size == (5, 5)
        assert image(picture).shape == (2, 2) and audio(mel).shape == (2, 130)


def test_what_cannot_be_built():
    for config, reason in (
        (ModelConfig(image_px=96), "image_px: expected a power of two"),
        (ModelConfig(n_mels=64), "n_mels: the mel 'xfavot' has 80 bands, found 64"),
    ):
        with pytest.raises(FaceVCError, match=reason):
            build_model(config, "here")


# blocks


def test_a_style_scales_and_shifts():
    """At first weights a style of zeros leaves the normalised input as it is: the scales' biases are 1."""
    norm = AdaptiveNorm(3, 4)
    initialise(norm)
    x = 5 + 3 * torch.randn(2, 3, 6, 6)
    out = norm(x, torch.zeros(2, 4))
    assert torch.allclose(out, nn.InstanceNorm2d(3)(x))
    assert torch.allclose(norm.style.bias, torch.tensor([1.0] * 3 + [0.0] * 3))
    style = torch.randn(2, 4)
    found = norm(x, style)
    wanted = style @ norm.style.weight.T + norm.style.bias
    assert torch.allclose(found.mean((2, 3)), wanted[:, 3:], atol=1e-5)
    assert torch.allclose(found.std((2, 3), unbiased=False), wanted[:, :3].abs(), atol=1e-4)


def test_first_weights_are_of_he():
    layer = nn.Conv2d(64, 64, 3)
    initialise(layer)
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.03)
    assert not layer.bias.any()


def test_a_block_without_weights_is_its_shortcut():
    """The mean of each 2 x 1, or each value twice, divided by the root of 2."""
    x = torch.arange(8.0).reshape(1, 1, 4, 2)
    for scale, wanted in (
        ({"down": (2, 1)}, [[1.0, 2.0], [5.0, 6.0]]),
        ({"up": (1, 2)}, [[0.0, 0.0, 1.0, 1.0], [2, 2, 3, 3], [4, 4, 5, 5], [6, 6, 7, 7]]),
    ):
        block = Block(1, 1, **scale)
        for parameter in block.parameters():
            nn.init.zeros_(parameter)
        assert torch.allclose(block(x)[0, 0], torch.tensor(wanted) / math.sqrt(2))


# generators and readers


def test_the_content_has_no_style_and_the_style_changes_the_result():
    torch.manual_seed(0)
    network = Generator(3, [4, 8], [(2, 2)], 5)
    initialise(network)
    x, one, other = torch.randn(1, 3, 8, 8), torch.randn(1, 5), torch.randn(1, 5)
    assert torch.equal(network(x, one), network.decode(network.encode(x), one))
    assert not torch.allclose(network(x, one), network(x, other), atol=1e-2)


def test_the_audio_generator_hears_the_pitch_and_takes_any_length():
    torch.manual_seed(0)
    network = AudioGenerator([4, 4, 4], [(2, 2), (2, 1)], 5, pitch_channels=3)
    initialise(network)
    mel, style = torch.randn(1, 1, 16, 12), torch.randn(1, 5)
    log_f0 = torch.randn(1, 12)
    assert network(mel, style, log_f0).shape == mel.shape
    assert torch.equal(network(mel, style), network(mel, style, torch.zeros(1, 12)))  # unvoiced
    assert not torch.allclose(network(mel, style, log_f0), network(mel, style), atol=1e-3)
    assert PitchEncoder(3, 2)(torch.randn(2, 192)).shape == (2, 3, 48)
    assert network(torch.randn(1, 1, 16, 20), style).shape[-1] == 20


def test_a_style_encoder_has_a_head_for_each_gender_and_guesses():
    torch.manual_seed(0)
    network = StyleEncoder(Trunk(3, [4, 4], 4), 4, 6)
    initialise(network)
    x = torch.randn(2, 3, 8, 8)
    zeros, ones = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    first, second = network(x, zeros), network(x, ones)
    mixed = network(x, torch.tensor([0, 1]))
    assert torch.equal(mixed, torch.stack([first[0], second[1]])) and not torch.allclose(first, second)
    with torch.no_grad():
        network.gender.weight.zero_()
        network.gender.bias.copy_(torch.tensor([0.0, 1.0]))
    assert torch.equal(network(x), second)
    network.read(x)[1].sum().backward()
    assert network.gender.weight.grad is not None and all(p.grad is None for p in network.trunk.parameters())


def test_a_longer_log_mel_is_the_mean_over_places():
    network = Trunk(1, [4, 4], 4)
    initialise(network)
    x = torch.randn(1, 1, 8, 8).repeat(1, 1, 1, 2)
    assert network(x).shape == (1, 4)


@pytest.mark.parametrize("shared", [False, True])
def test_the_mapping_gives_each_domain_its_own_style(shared):
    torch.manual_seed(0)
    network = MappingNetwork(3, 8, 5, 4, shared)
    initialise(network)
    latent = torch.randn(1, 3).repeat(4, 1)
    found = network(latent, torch.tensor([2, 0, 3, 0]))
    assert found.shape == (4, 5) and torch.allclose(found[1], found[3])
    assert not torch.allclose(found[0], found[1]) and not torch.allclose(found[0], found[2])
    assert torch.allclose(network(latent[:1], torch.tensor([3])), found[2:3], atol=1e-6)
    found[1].sum().backward()
    if not shared:
        assert [all(p.grad is not None for p in branch.parameters()) for branch in network.branches] == [
            True,
            False,
            True,
            True,
        ]


def test_the_pitch_reader_reads_each_frame():
    log_f0, voicing = PitchReader(80, 4)(torch.randn(2, 1, 80, 30))
    assert log_f0.shape == voicing.shape == (2, 30)
    assert float((log_f0 - math.log(150)).detach().abs().max()) < 3


@pytest.mark.parametrize("size", [(8, 12), (9, 7)])
@pytest.mark.parametrize("scale", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_halving_is_average_pooling_also_within_a_convolution(size: tuple[int, int], scale: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, convolution = torch.randn(2, 3, *size).double(), nn.Conv2d(3, 5, 3, padding=1).double()
    torch.testing.assert_close(halve(x, scale), F.avg_pool2d(x, scale))
    torch.testing.assert_close(convolve_and_halve(x, convolution, scale), F.avg_pool2d(convolution(x), scale))


@pytest.mark.parametrize(("down", "up"), [((2, 2), (1, 1)), ((1, 1), (2, 1))])
def test_a_block_is_two_convolutions_beside_a_shortcut(down: tuple[int, int], up: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block, x = Block(3, 6, down=down, up=up).double(), torch.randn(2, 3, 8, 8).double()
    repeated = F.interpolate(x, scale_factor=tuple(map(float, up)), mode="nearest")
    found = F.interpolate(F.leaky_relu(x, 0.2), scale_factor=tuple(map(float, up)), mode="nearest")
    found = block.conv2(F.leaky_relu(F.avg_pool2d(block.conv1(found), down), 0.2))
    wanted = (found + F.avg_pool2d(block.shortcut(repeated), down)) / math.sqrt(2)
    torch.testing.assert_close(block(x), wanted)
