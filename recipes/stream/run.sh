#!/usr/bin/env bash
# A causal content encoder for live conversion, learned from the content encoder of a finished model.
# Cost: an hour and a quarter of one core with --precision bf16, where the processor multiplies in it; else about twice that.
#
# run.sh --features FEATURES.h5 [other options]
#
#   --features FILE    a store of `facevc extract-features`, of the front-end of the model
#   --init FOLDER      the finished model: a run or checkpoint (the bundled starter)
#   --table FILE       recordings to measure on: utterance, and path or file; optional text
#   --face FILE        a picture whose voice stage 3 speaks in
#   --count N          recordings that stage 3 measures on (6)
#   --steps N          of the training (5000)
#   --batch-size N     crops in a batch (12)
#   --width N          channels of the encoder (320)
#   --precision NAME   bf16 (for a GPU, or a CPU with AMX or AVX-512 BF16) or no (no)
#   --device NAME      (auto)
#   --out DIR          everything goes here (exp/stream)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (3)
#
#   1 train   2 the folder to bundle   3 measure: streams against files, with --table and --face
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="features init table face count steps batch_size width precision device out stage stop_stage"
features=""
init=""
table=""
face=""
count=6
steps=5000
batch_size=12
width=320
precision=no
device=auto
out=exp/stream
stage=1
stop_stage=3
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
needs 1 1 accelerate train
for name in count steps batch_size width; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "--${name/_/-} '${!name}': expected a whole number from 1 on"
done
if [ -n "$init" ] && [ ! -e "$init" ]; then die "--init '$init': no such folder"; fi
for name in table face; do
    if [ -n "${!name}" ] && [ ! -f "${!name}" ]; then die "--$name '${!name}': no such file"; fi
done

if stage_is 1 "training"; then
    [ -f "$features" ] || die "--features '$features': expected a store"
    mkdir -p "$out"
    facevc distill "$features" -o "$out/train" --device "$device" --precision "$precision" ${init:+--init "$init"} \
        --set "model.stream_encoder.width=$width" --set "distill.steps=$steps" --set "distill.batch_size=$batch_size"
fi

if stage_is 2 "the folder to bundle"; then
    facevc import-checkpoint "$out/train" -o "$out/model" --half --overwrite \
        --origin "recipes/stream: the model of --init, with a causal content encoder"
fi

if stage_is 3 "figures"; then
    if [ -n "$table" ] && [ -n "$face" ]; then
        python3 "$here/local/measure.py" "$out/measured" "$table" --face "$face" --checkpoint "$out/model" --count "$count"
    else
        echo "stage 3 needs --table and --face: left out" >&2
    fi
fi
echo "== $SECONDS s: done, in $out" >&2
