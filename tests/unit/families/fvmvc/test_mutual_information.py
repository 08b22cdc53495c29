import pytest
import torch

from facevc_cli.families.fvmvc.mutual_information import CLUBEstimator, halve_rate


@pytest.fixture
def estimator() -> CLUBEstimator:
    torch.manual_seed(0)
    return CLUBEstimator(x_dim=3, y_dim=2, hidden=16, layers=3)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("shape", [(3,), (5, 3)])
def test_small_batches_give_finite_numbers(estimator, batch, shape):
    x, y = torch.randn(batch, *shape), torch.randn(batch, 5, 2)
    assert torch.isfinite(estimator.compute_loglikelihood(x, y))
    assert torch.isfinite(estimator.estimate_mi(x, y))


def test_utterance_loglikelihood_is_the_gaussians(estimator):
    x, y = torch.randn(4, 3), torch.randn(4, 5, 2)
    mean, logvar = estimator(x)
    constant = 0.5 * 2 * torch.log(torch.tensor(2 * torch.pi))
    expected = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(y).sum(-1).mean() + constant
    assert estimator.compute_loglikelihood(x, y).item() == pytest.approx(expected.item(), rel=1e-5)
    frames = x.unsqueeze(1).expand(-1, 5, -1)
    assert estimator.compute_loglikelihood(frames, y).item() == pytest.approx(2 * expected.item(), rel=1e-5)


def test_estimate_depends_on_the_permutation_given(estimator):
    x, y = torch.randn(6, 3), torch.randn(6, 5, 2)
    assert estimator.estimate_mi(x, y, index=torch.arange(6)).item() == 0
    drawn = [estimator.estimate_mi(x, y, generator=torch.Generator().manual_seed(1)).item() for _ in range(2)]
    assert drawn[0] == drawn[1] != 0


def test_trained_estimator_tells_dependence_from_independence(estimator):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=1e-2)
    x = torch.randn(64, 3)
    y = x[:, None, :2] + 0.1 * torch.randn(64, 4, 2)
    for _ in range(100):
        optimizer.zero_grad()
        (-estimator.compute_loglikelihood(x, y)).backward()
        optimizer.step()
    shift = torch.arange(64).roll(1)
    dependent = estimator.estimate_mi(x, y, index=shift).item()
    independent = estimator.estimate_mi(x.roll(7, 0), y, index=shift).item()
    assert dependent > 1
    assert abs(independent) < dependent / 2


def test_half_rate_averages_pairs():
    assert halve_rate(torch.tensor([[1.0, 3.0, 5.0]])).tolist() == [[[2.0], [5.0]]]
