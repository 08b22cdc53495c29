"""The options of `facevc evaluate`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

_known = partial(Option, rich_help_panel="What is known")
_judged = partial(Option, rich_help_panel="What is judged")
_written = partial(Option, rich_help_panel="What is written")
_matched = partial(Option, rich_help_panel="Instead of conversions: which face and which voice fit")
TABLE, TEST = "TABLE.csv", "FILE.html"
MANIFEST = "The manifest.csv of convert or its folder, any table of conversions, or a folder with --pattern."
PATTERN = "How files are named: {source}, {target}, {system}, {face}, as in '{source}__{target}.wav'."
ABOUT_TARGETS = (
    "About targets: target, gender, references (recordings separated by |), parallel (of the source's words)."
)
ABOUT_SOURCES = "About sources: source_id, file, gender, speaker, transcript."
CALIBRATE = "Real recordings (file, speaker) to set the threshold of SHR, SDR."
BY = "Also give the figures for each value of this column. May be repeated."
JUDGE = "Whose voice embeddings are compared: resemblyzer, voicefilter, campplus, or an installed package's judge."
OTHERS = "Compare voices also by voicefilter and campplus, if installed. They trained no model of facevc."
METRIC = "Also measure this metric of an installed package. May be repeated."
RECOGNISER = "The recogniser for WER and CER: auto, none, or a CTranslate2 Whisper folder or name."
LANGUAGE = "The language of the sources, such as en. Default: recognised for each source."
MOS = "Predict MOS with DistillMOS, and with DNSMOS if it is installed."
ANSWERS = "Answers to a listening test, for MOS and CPR. May be repeated."
GRID = "At most this many sources and faces get players on the page."
STUDY = "Write a page that asks listeners, for MOS and CPR; with --portraits it asks which face and which voice fit."
ITEMS = "Number of questions of each kind, over all systems."
QUESTION = (
    "What the page asks: naturalness, voices (which voice fits a face), faces (which face fits a voice). May be "
    "repeated. Default: naturalness and voices; with --portraits voices and faces."
)
ASSOCIATION = (
    "Real pairs (face, voice, person; optional gender, age), or a list of trials as VoxCeleb's. Measures matching, "
    "verification and retrieval."
)
SYSTEM = (
    "A model to measure with --association, may be repeated; or the one that recalls voices for --portraits. Default: "
    "the bundled one."
)
PORTRAITS = (
    "The portraits.csv of imagine, or its folder. Measures whether the faces lead back to their voices, and how they "
    "differ. With --association also beside the real faces of these voices. Or the restyled.csv of restyle: measures "
    "how much of the person stays, and what moved."
)
FID = "Your network of features as an ONNX file, such as Inception: adds FID to --portraits --association."
LPIPS = "Your network that compares two pictures as an ONNX file: adds LPIPS to --portraits."

Manifest = Annotated[Path | None, Argument(help=MANIFEST, show_default=False)]
Output = Annotated[Path | None, Option("--out", "-o", help="A folder for metrics.json, metrics.csv and report.html.")]
Pattern = Annotated[str | None, _known("--pattern", metavar="TEXT", help=PATTERN)]
Labels = Annotated[Path | None, _known("--labels", metavar=TABLE, help=ABOUT_TARGETS)]
Sources = Annotated[Path | None, _known("--sources", metavar=TABLE, help=ABOUT_SOURCES)]
Calibrate = Annotated[Path | None, _known("--calibrate", metavar=TABLE, help=CALIBRATE)]
Answers = Annotated[list[Path] | None, _known("--answers", metavar=TABLE, help=ANSWERS)]
By = Annotated[list[str] | None, _judged("--by", metavar="COLUMN", help=BY)]
SpeakerJudge = Annotated[str, _judged(help=JUDGE)]
IndependentJudges = Annotated[bool, _judged("--independent-judges/--no-independent-judges", help=OTHERS)]
AddedMetric = Annotated[list[str] | None, _judged("--metric", metavar="NAME", help=METRIC)]
Recogniser = Annotated[str, _judged(help=RECOGNISER)]
Language = Annotated[str | None, _judged(help=LANGUAGE)]
Naturalness = Annotated[bool, _judged("--naturalness/--no-naturalness", help=MOS)]
Html = Annotated[bool, _written("--html/--no-html", help="Write report.html, a page to look at and to listen to.")]
Grid = Annotated[int, _written(min=0, help=GRID)]
ListeningTest = Annotated[Path | None, _written(metavar=TEST, help=STUDY)]
ListeningItems = Annotated[int, _written(min=1, help=ITEMS)]
Question = Annotated[list[str] | None, _written("--question", metavar="NAME", help=QUESTION)]
Portraits = Annotated[Path | None, _matched("--portraits", metavar="PORTRAITS.csv", help=PORTRAITS)]
FidNetwork = Annotated[Path | None, _matched("--fid-network", metavar="FILE.onnx", help=FID)]
LpipsNetwork = Annotated[Path | None, _matched("--lpips-network", metavar="FILE.onnx", help=LPIPS)]
Association = Annotated[Path | None, _matched("--association", metavar="PAIRS.csv", help=ASSOCIATION)]
System = Annotated[list[str] | None, _matched("--system", metavar="NAME=CHECKPOINT", help=SYSTEM)]
