import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.training.schedule import WarmupMilestones


@pytest.mark.parametrize("settings", [{"peak": 0.0}, {"start": -1.0}, {"warmup": -1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(FaceVCError, match="learning rate schedule"):
        WarmupMilestones(**settings)


def test_milestones_are_fractions_of_the_run():
    schedule = WarmupMilestones.from_fractions(100, peak=1.0, warmup=10, fractions=(0.4, 0.6, 0.8), start=0.0)
    assert schedule.milestones == (40, 60, 80)
    assert [schedule.compute_rate(step) for step in (0, 5, 10, 39, 40, 60, 80, 1000)] == [
        0,
        0.5,
        1,
        1,
        0.5,
        0.25,
        0.125,
        0.125,
    ]


def test_no_warm_up_starts_at_the_peak():
    assert WarmupMilestones(peak=0.1).compute_rate(0) == 0.1
