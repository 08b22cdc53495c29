"""The judges of this folder by name, in the order of display."""

from collections.abc import Mapping

from facevc_cli.evaluation.speaker_judges.campplus import CAMPlusPlusJudge
from facevc_cli.evaluation.speaker_judges.voicefilter import VoiceFilterJudge

INDEPENDENT: Mapping[str, type[VoiceFilterJudge] | type[CAMPlusPlusJudge]] = {
    "voicefilter": VoiceFilterJudge,
    "campplus": CAMPlusPlusJudge,
}
