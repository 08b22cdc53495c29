"""People's opinions: their answers to the listening test."""

from facevc_cli.evaluation.metrics.metric import OPINION, SHARE, Metric

METRICS = (
    Metric(
        name="MOS",
        better="higher",
        definition="Mean opinion score from 1 to 5, given by people in the listening test.",
        measure=None,
        scale=OPINION,
    ),
    Metric(
        name="CPR",
        better="higher",
        definition=(
            "Share of choices in the listening test in which people found that the conversion fits the face better."
        ),
        measure=None,
        scale=SHARE,
    ),
    Metric(
        name="CPR faces",
        better="higher",
        definition=(
            "Share of choices in the listening test in which people found that the conversion fits its own face better "
            "than another person's."
        ),
        measure=None,
        scale=SHARE,
    ),
)
