"""What people say: their answers to the listening test."""

from facevc_cli.evaluation.metrics.metric import OPINION, SHARE, Metric

METRICS = (
    Metric(
        name="MOS",
        better="higher",
        definition="Mean opinion score, 1 to 5, of the people who took the listening test.",
        measure=None,
        scale=OPINION,
    ),
    Metric(
        name="CPR",
        better="higher",
        definition="Share of the listening test's choices in which the conversion was found to fit the face.",
        measure=None,
        scale=SHARE,
    ),
)
