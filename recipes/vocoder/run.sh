#!/usr/bin/env bash
# A light vocoder that speaks like HiFi-GAN, but faster.
# Cost: 250 MB of disk; an hour and a half of two cores (README.md).
#
# run.sh --tables "TABLE..." [--out DIR] [other options]
#
#   --tables TABLES    tables of recordings: utterance, and path or file, relative to the table's folder; optional text
#   --splits TABLE     utterance or speaker, split: recordings of the split test train nothing, and stage 7 measures on them; without it, on one in forty
#   --hours H          how much sound HiFi-GAN speaks in stage 1 (0.4)
#   --decoded-hours H  how much sound of conversions it speaks in stage 4 (0.12)
#   --faces STORE      a store of `facevc extract-face`: stage 4 converts to their voices; default: to the recordings' voices
#   --pictures DIR     pictures of faces: stage 7 measures conversions too
#   --out DIR          everything goes here (exp/vocoder)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (7)
#   --share S          of HiFi-GAN's time that the light vocoder may take (0.3)
#   --steps N          of the training; set it before the first start (conf/train.yaml's)
#   --fine-steps N     of the fine-tuning (conf/finetune.yaml's)
#   --batch-size N     crops in a batch, for a GPU (12)
#   --precision NAME   of the trainings: bf16 (for a GPU) or no (no)
#   --device NAME      (auto)
#   --count N          recordings that stage 7 measures on (24)
#   --judges NAME      of stage 7: all, or none (all)
#   --pack DIR         after stage 4, or after the last stage before it, write the sound to DIR, in files of at most 60 MB, for another machine
#   --unpack DIR       before stage 2, read such a folder: --out is then made from it (--stage 2)
#
#   1 HiFi-GAN speaks recordings   2 lower its ranks   3 train   4 HiFi-GAN speaks conversions   5 fine-tune   6 the folder to bundle   7 measure
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="tables splits hours decoded_hours faces pictures out stage stop_stage share steps fine_steps batch_size precision device count judges pack unpack"
tables=""
splits=""
hours=0.4
decoded_hours=0.12
faces=""
pictures=""
out=exp/vocoder
stage=1
stop_stage=7
share=0.3
steps=""
fine_steps=""
batch_size=""
precision=no
device=auto
count=24
judges=all
pack=""
unpack=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
needs 2 4 accelerate train
for name in hours decoded_hours share; do
    [[ ${!name} =~ ^[0-9]*\.?[0-9]+$ ]] || die "--${name/_/-} '${!name}': expected a number such as 4 or 0.5"
done
for name in steps fine_steps batch_size; do
    [[ ${!name} =~ ^([1-9][0-9]*)?$ ]] || die "--${name/_/-} '${!name}': expected a whole number from 1 on"
done
read -r -a listed <<<"$tables"
needs_tables() {
    [ ${#listed[@]} -gt 0 ] || die "--tables '$tables': expected one or more tables of recordings"
    for table in "${listed[@]}"; do [ -f "$table" ] || die "--tables '$table': no such table"; done
}
[[ $device == auto ]] && spoken_on=cpu || spoken_on=$device
for name in splits faces; do
    if [ -n "${!name}" ] && [ ! -f "${!name}" ]; then die "--$name '${!name}': no such file"; fi
done
mkdir -p "$out"

if stage_is 1 "HiFi-GAN speaks recordings"; then
    needs_tables
    python3 "$here/local/prepare.py" "$out/pieces" "${listed[@]}" --hours "$hours" --device "$spoken_on" ${splits:+--splits "$splits"}
fi

if [ -n "$unpack" ]; then python3 "$here/local/transfer.py" --unpack "$unpack" "$out"; fi

common=(--device "$device" --precision "$precision")
if [ -n "$batch_size" ]; then common+=(--batch-size "$batch_size"); fi

if stage_is 2 "lower ranks"; then
    python3 "$here/local/factor.py" "$out/pieces" "$out/factored" --share "$share"
fi

if stage_is 3 "training"; then
    python3 "$here/local/train.py" "$out/train" "$out/factored" "$out/pieces" --config "$here/conf/train.yaml" "${common[@]}" ${steps:+--steps "$steps"}
fi

if stage_is 4 "HiFi-GAN speaks conversions"; then
    if [ -z "$unpack" ] || [ ! -f "$out/decoded/index.csv" ]; then
        needs_tables
        python3 "$here/local/decode.py" "$out/decoded" "${listed[@]}" --hours "$decoded_hours" --device "$spoken_on" \
            ${splits:+--splits "$splits"} ${faces:+--faces "$faces"}
    fi
fi
if [ -n "$pack" ]; then python3 "$here/local/transfer.py" "$out" "$pack"; fi

if stage_is 5 "fine-tuning"; then
    python3 "$here/local/train.py" "$out/finetune" "$out/train/checkpoints/last" "$out/pieces" "$out/decoded" \
        --config "$here/conf/finetune.yaml" "${common[@]}" ${fine_steps:+--steps "$fine_steps"}
fi

if stage_is 6 "the folder to bundle"; then
    run=$out/finetune
    [ -d "$run" ] || run=$out/train
    python3 "$here/local/export.py" "$run" "$out/light"
fi

if stage_is 7 "figures"; then
    needs_tables
    python3 "$here/local/measure.py" "$out/light" "$out/measured" "${listed[@]}" --count "$count" --judges "$judges" \
        ${splits:+--splits "$splits"} ${pictures:+--pictures "$pictures"}
fi
echo "== $SECONDS s: done, in $out" >&2
