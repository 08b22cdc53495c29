#!/usr/bin/env bash
# The paper's run on LRS3: the 200 speakers with most clips of pretrain/, trainval/ for validation, 4 sources x 8 targets of test/.
# Cost (estimated from its parts, not yet run whole): 20 GB of disk beside LRS3 itself; hours on 16 cores to extract; 12 GB and about
# a day on one GPU for each training.
#
# run.sh --lrs3 DIR [--out DIR] [--stage N] [--stop-stage N] [other options]
#
#   --lrs3 DIR         LRS3: DIR/{pretrain,trainval,test}/SPEAKER/00001.mp4, and 00001.txt
#   --out DIR          everything goes here (exp/lrs3)
#   --stage N          first stage to run (0)
#   --stop-stage N     last stage to run (8)
#   --speakers N       training speakers (200)
#   --valid-clips N    validation clips (500)
#   --sources N        test speakers that one utterance each is taken from (4)
#   --targets N        test speakers towards whom these are converted (8)
#   --genders TABLE    speaker,gender of test speakers: as many women as men are drawn, and figures by gender (LRS3 has none)
#   --detector NAME    mtcnn, the paper's, or dlib (mtcnn)
#   --embedder NAME    facenet, the paper's, 512 numbers, or dlib, 128 (facenet; both of the paper's need the extra [facenet])
#   --preset NAME      (fvmvc)
#   --config FILE      differences from the preset (conf/fvmvc.yaml beside this script)
#   --vocoder PATH     a Parallel WaveGAN checkpoint trained on this log-mel, as the paper's; else Griffin-Lim (auto)
#   --device NAME      (auto)
#   --precision NAME   of the trainings: no or bf16 (no)
#   --judges NAME      of the figures: light, or all: a recogniser for CER, predicted MOS and further speaker judges too, with the extra [eval] (all)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#
#   0 choose clips   1 extract-wav   2 extract-features   3 extract-face   4 extract-spkemb   5 pretrain   6 train
#   7 convert        8 evaluate
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="lrs3 out stage stop_stage speakers valid_clips sources targets genders detector embedder preset config vocoder device precision judges jobs"
lrs3=""
out=exp/lrs3
stage=0
stop_stage=8
speakers=200
valid_clips=500
sources=4
targets=8
genders=""
detector=mtcnn
embedder=facenet
preset=fvmvc
config=$here/conf/fvmvc.yaml
vocoder=auto
device=auto
precision=no
judges=all
jobs=0
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
set_judges
needs 5 6 accelerate train

case "$embedder" in
    facenet) face_dim=512 ;;
    dlib) face_dim=128 ;;
    *) die "--embedder '$embedder': expected facenet or dlib" ;;
esac
known_genders=()
if [ -n "$genders" ]; then known_genders=(--genders "$genders"); fi
learning=(--preset "$preset" --config "$config" --set "model.face_dim=$face_dim" --device "$device" --precision "$precision")
mkdir -p "$out"

if stage_is 0 "choosing clips"; then
    [ -d "$lrs3" ] || die "--lrs3 '$lrs3': expected the folder that holds pretrain, trainval and test"
    python3 "$here/local/select_speakers.py" "$lrs3" "$out" --speakers "$speakers" --valid-clips "$valid_clips" \
        --sources "$sources" --targets "$targets" "${known_genders[@]}"
fi

if stage_is 1 "sound of the clips"; then
    some_may_fail "$out/wav/manifest.csv" facevc extract-wav "$out/clips" -o "$out/wav" --jobs "$jobs"
fi

if stage_is 2 "log-mel and F0"; then
    some_may_fail "$out/features.h5" facevc extract-features "$out/wav" -o "$out/features.h5" --mel fvmvc --split "$out/splits.csv" --jobs "$jobs"
fi

if stage_is 3 "faces"; then
    some_may_fail "$out/faces.h5" facevc extract-face "$out/clips" -o "$out/faces.h5" --detector "$detector" --embedder "$embedder" \
        --every 10 --max-frames 20 --jobs "$jobs"
fi

if stage_is 4 "d-vectors"; then
    some_may_fail "$out/voices.h5" facevc extract-spkemb "$out/wav" -o "$out/voices.h5" --jobs "$jobs"
fi

if stage_is 5 "pretraining, voice to voice"; then
    facevc pretrain "$out/features.h5" --voices "$out/voices.h5" -o "$out/pretrain" "${learning[@]}"
fi

if stage_is 6 "training, face to voice"; then
    facevc train "$out/features.h5" --faces "$out/faces.h5" --voices "$out/voices.h5" --init "$out/pretrain" -o "$out/train" "${learning[@]}"
fi

if stage_is 7 "$sources sources towards $targets targets"; then
    python3 "$here/../common/face_images.py" "$out/clips" "$out/targets.csv" "$out/faces" --each 3
    python3 "$here/../common/pair_up.py" "$out/sources.csv" "$out/faces" "$out/pairs.csv"
    some_may_fail "$out/converted/manifest.csv" facevc convert "$out/wav" --face "$out/faces" --pairs "$out/pairs.csv" \
        -o "$out/converted" --checkpoint "$out/train" --vocoder "$vocoder" --device "$device"
fi

if stage_is 8 "figures"; then
    mkdir -p "$out/known"
    python3 "$here/../common/labels.py" "$out/targets.csv" "$out/sources.csv" "$out/wav" "$out/known" --texts "$out/clips" "${known_genders[@]}"
    facevc evaluate "$out/converted/manifest.csv" -o "$out/evaluation" --labels "$out/known/targets.csv" --sources "$out/known/sources.csv" "${heard[@]}"
fi
echo "== $SECONDS s: done, in $out" >&2
