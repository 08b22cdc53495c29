"""`portraits.csv`, the table beside imagined faces. `imagine` writes it, and `evaluate --portraits` reads it."""

from facevc_cli.manifest.picture_table import PictureTable

PORTRAITS = "portraits.csv"
COLUMNS = (
    "portrait",
    "status",
    "voice",
    "voice_id",
    "sample",
    "feminine",  # the voice: probability that its speaker is labelled a woman
    "age",  # the voice: expected age in years
    "score",
    "looks_feminine",  # the picture: probability of a woman, as the judge sees it
    "looks_age",
    "distance",
    "fits_register",
    "parts",  # composites with their shares
    "model",
    "key",
    "reason",
)
NEEDED = ("portrait", "status", "voice", "key")


class PortraitTable(PictureTable):
    """The rows of `portraits.csv`."""

    file_name, columns, needed = PORTRAITS, COLUMNS, NEEDED
