#!/usr/bin/env bash
# The whole pipeline on a handful of short talking-face clips: does everything work together?
# Cost: two minutes on two cores, 50 MB. What comes out does not speak: that takes hours of speech, not seconds.
#
# run.sh [--data DIR] [--out DIR] [--stage N] [--stop-stage N] [--jobs N] [--vocoder NAME] [--device NAME] [--judges light|all]
#
#   --data DIR         clips, as DIR/SPEAKER/CLIP.mp4, or DIR/CLIP.mp4 with one person a clip; at least three people.
#                      DIR/people.csv (speaker,gender) is used where it exists. Default: drawn faces with synthetic speech.
#   --out DIR          everything goes here (exp/toy)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (8)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#   --vocoder NAME     of stage 7 (griffin-lim)
#   --device NAME      of the trainings and of stage 7 (cpu)
#   --judges NAME      of stage 8: light, or all: a recogniser for CER, predicted MOS and further speaker judges too, with the extra [eval] (light)
#
#   1 extract-wav   2 extract-features   3 extract-face   4 extract-spkemb   5 pretrain   6 train   7 convert   8 evaluate
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out stage stop_stage jobs vocoder device judges"
data=""
out=exp/toy
stage=1
stop_stage=8
jobs=0
vocoder=griffin-lim
device=cpu
judges=light
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
set_judges
needs 5 6 accelerate train

# The person: the folder that a clip lies in, or the clip itself where there are no folders.
person='^(?:.*?/)??([^/]+)(?:/[^/]+)?$'

# So small a model gains nothing from a second thread, and on a busy machine waits for it.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

mkdir -p "$out"
if [ -z "$data" ]; then
    data=$out/clips
    python3 "$here/local/make_clips.py" "$data"
fi

if stage_is 1 "sound of the clips; who is held out"; then
    some_may_fail "$out/wav/manifest.csv" facevc extract-wav "$data" -o "$out/wav" --speaker-pattern "$person" --jobs "$jobs"
    python3 "$here/local/splits.py" "$out/wav/manifest.csv" "$out"
fi

if stage_is 2 "log-mel and F0"; then
    some_may_fail "$out/features.h5" facevc extract-features "$out/wav" -o "$out/features.h5" --mel fvmvc \
        --split "$out/splits.csv" --speaker-pattern "$person" --jobs "$jobs"
fi

if stage_is 3 "faces"; then
    some_may_fail "$out/faces.h5" facevc extract-face "$data" -o "$out/faces.h5" --save-crops "$out/crops" --every 10 \
        --speaker-pattern "$person" --jobs "$jobs"
fi

if stage_is 4 "d-vectors"; then
    some_may_fail "$out/voices.h5" facevc extract-spkemb "$out/wav" -o "$out/voices.h5" --speaker-pattern "$person" --jobs "$jobs"
fi

if stage_is 5 "pretraining, voice to voice"; then
    facevc pretrain "$out/features.h5" --voices "$out/voices.h5" -o "$out/pretrain" --preset toy --device "$device"
fi

if stage_is 6 "training, face to voice"; then
    facevc train "$out/features.h5" --faces "$out/faces.h5" --voices "$out/voices.h5" --init "$out/pretrain" -o "$out/train" \
        --preset toy --device "$device"
fi

if stage_is 7 "every held-out utterance towards every held-out face"; then
    python3 "$here/../common/face_images.py" "$data" "$out/test.csv" "$out/faces"
    python3 "$here/../common/pair_up.py" "$out/test.csv" "$out/faces" "$out/pairs.csv"
    some_may_fail "$out/converted/manifest.csv" facevc convert "$out/wav" --face "$out/faces" --pairs "$out/pairs.csv" \
        -o "$out/converted" --checkpoint "$out/train" --vocoder "$vocoder" --device "$device"
fi

if stage_is 8 "figures"; then
    genders=()
    if [ -e "$data/people.csv" ]; then genders=(--genders "$data/people.csv"); fi
    python3 "$here/../common/labels.py" "$out/test.csv" "$out/test.csv" "$out/wav" "$out" "${genders[@]}"
    facevc evaluate "$out/converted/manifest.csv" -o "$out/evaluation" --labels "$out/targets.csv" --sources "$out/sources.csv" "${heard[@]}"
fi
echo "== $SECONDS s: done, in $out" >&2
