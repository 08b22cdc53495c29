#!/usr/bin/env bash
# A small model that ranks faces and voices, from a store of faces and a store of voices.
# Cost: a minute of one CPU core.
#
# run.sh --faces FACES.h5 --voices VOICES.h5 (--pairs PAIRS.csv | --people PEOPLE.csv | --real yes) [other options]
#
#   --faces FILE       a store of `facevc extract-face`
#   --voices FILE      a store of `facevc extract-spkemb`
#   --people FILE      kind (face or voice), name, corpus, gender, age: pseudo-pairs of different people are made from it
#   --splits FILE      speaker, split: pseudo-pairs leave out speakers of other splits than train
#   --pairs FILE       speaker, face: pseudo-pairs that exist already
#   --real yes         both stores are of the same people
#   --test FILE        face, voice, person and optional gender, age: real pairs to measure on
#   --out DIR          everything goes here (exp/cmpc)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (4)
#   --device NAME      (auto)
#   --steps N          train N steps only: a rehearsal
#
#   1 pseudo-pairs and weights   2 train   3 import-checkpoint: the folder to bundle   4 evaluate --association
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="faces voices people splits pairs real test out stage stop_stage device steps"
faces=""
voices=""
people=""
splits=""
pairs=""
real=no
test=""
out=exp/cmpc
stage=1
stop_stage=4
device=auto
steps=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
needs 2 2 accelerate train
for file in "$faces" "$voices"; do
    [ -f "$file" ] || die "'$file': expected a store. Pass --faces FACES.h5 and --voices VOICES.h5"
done
[[ $real =~ ^(yes|no)$ ]] || die "--real '$real': expected yes or no"
if [ "$real" = no ] && [ ! -f "$people" ] && [ ! -f "$pairs" ]; then die "pass --people PEOPLE.csv, --pairs PAIRS.csv or --real yes"; fi
[[ $steps =~ ^([1-9][0-9]*)?$ ]] || die "--steps '$steps': expected a whole number from 1 on"
mkdir -p "$out"

if stage_is 1 "which face goes with which voice, and how often each voice is drawn"; then
    if [ "$real" = no ] && [ -f "$people" ]; then
        python3 "$here/local/pair.py" "$faces" "$voices" "$people" "$out/pairs.csv" "$out/weights.csv" ${splits:+--splits "$splits"}
    fi
fi

if stage_is 2 "training"; then
    joined=()
    if [ "$real" = no ]; then
        joined=(--pairs "${pairs:-$out/pairs.csv}" --config "$here/conf/pseudo_pairs.yaml")
        if [ -z "$pairs" ]; then joined+=(--sampling-weights "$out/weights.csv"); fi
    fi
    sizes=$(python3 "$here/local/sizes.py" "$faces" "$voices")
    if [ -n "$steps" ]; then joined+=(--set "train.steps=$steps"); fi
    # shellcheck disable=SC2086  # sizes are several words
    facevc train "$faces" "$voices" --preset cmpc -o "$out/train" --device "$device" $sizes "${joined[@]}"
fi

if stage_is 3 "the folder to bundle"; then
    origin="recipes/cmpc: faces and voices of the same people"
    if [ "$real" = no ]; then origin="recipes/cmpc: faces and voices of different people, joined by gender and age; it knows nothing else"; fi
    facevc import-checkpoint "$out/train" -o "$out/matcher" --half --overwrite --origin "$origin"
fi

if [ -n "$test" ] && stage_is 4 "figures"; then
    some_may_fail "$out/evaluation/association.json" facevc evaluate --association "$test" --system "cmpc=$out/matcher" -o "$out/evaluation"
fi
echo "== $SECONDS s: done, in $out" >&2
