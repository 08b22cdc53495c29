import math

import pytest
import torch

from facevc_cli.families.fvmvc import losses


def test_reconstruction_adds_mse_and_l1_twice():
    target = torch.zeros(1, 2, 3)
    assert losses.compute_reconstruction(target + 2, target - 1, target).item() == pytest.approx((4 + 2) + (1 + 1))


def test_address_kl_is_zero_on_itself_and_directed():
    voice, face = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert losses.compute_address_kl(voice, voice).item() == pytest.approx(0, abs=1e-7)
    assert losses.compute_address_kl(voice, face).item() == pytest.approx(
        0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-5
    )


def test_entropy_of_a_uniform_address():
    assert losses.compute_address_entropy(torch.zeros(3, 96).log_softmax(-1)).item() == pytest.approx(
        math.log(96), rel=1e-5
    )


def test_upper_bound_by_hand():
    mean, logvar = torch.zeros(2, 1, 1), torch.zeros(2, 1, 1)
    mean[1] = 1
    y = mean.clone()
    assert losses.compute_club_bound(mean, logvar, y, torch.tensor([1, 0])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("frames", [1, 2])
def test_cpc_on_too_few_frames_is_zero(frames):
    loss, accuracy = losses.compute_cpc_loss(
        [torch.randn(2, frames, 4)] * 3, torch.randn(2, frames, 4, requires_grad=True)
    )
    assert loss.item() == 0
    assert accuracy.tolist() == [0, 0, 0]
    loss.backward()


def test_cpc_on_fewer_frames_than_steps_trains_those_that_fit():
    loss, accuracy = losses.compute_cpc_loss([torch.randn(2, 4, 4)] * 6, torch.randn(2, 4, 4))
    assert torch.isfinite(loss) and loss > 0
    assert accuracy.shape == (6,)


def test_cpc_rewards_the_right_prediction_and_repeats_by_seed():
    torch.manual_seed(0)
    z = torch.randn(3, 30, 16)
    right = [10 * z.roll(-ahead, dims=1) for ahead in (1, 2)]
    loss, accuracy = losses.compute_cpc_loss(right, z)
    assert loss.item() < 0.05
    assert accuracy.min().item() > 0.98
    wrong = [torch.zeros_like(z)] * 2
    assert losses.compute_cpc_loss(wrong, z)[0].item() == pytest.approx(math.log(11), rel=1e-5)
    noise = [torch.randn_like(z)] * 2
    drawn = [losses.compute_cpc_loss(noise, z, generator=torch.Generator().manual_seed(5))[0].item() for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_cpc_negatives_never_hold_the_positive():
    z = torch.eye(12).unsqueeze(0)
    loss, accuracy = losses.compute_cpc_loss([1000 * z.roll(-1, dims=1)], z, negatives=50)
    assert accuracy.item() == 1
    assert loss.item() == pytest.approx(0, abs=1e-6)
