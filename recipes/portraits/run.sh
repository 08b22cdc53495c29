#!/usr/bin/env bash
# The composites of `facevc imagine` and `facevc restyle`, and the landmark network, made again. README.md says what they are.
# Cost: 60 MB to download; about 15 minutes on one core, and 15 more if the face embeddings are not there yet.
#
# run.sh --data DIR [--out DIR] [--faces FACES.h5] [--composites N] [--members N] [--most N] [--stage N] [--stop-stage N]
#
#   --data DIR         faces.csv (face, path, gender, age_bin, race) and the pictures that it names, relative to DIR: cut to a face,
#                      as those of FairFace are
#   --out DIR          everything goes here (exp/portraits)
#   --faces FACES.h5   face embeddings of the same pictures by `fused`; without it stage 3 makes them
#   --composites N     how many are tried (170); the rules drop some of them
#   --members N        people in each (13)
#   --most N           faces of each register and age bin that are surveyed (330)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (7)
#
#   1 packages   2 the landmark network as ours   3 face embeddings   4 survey: landmarks, pose, light, glasses
#   5 who is averaged with whom   6 average them; look at OUT/sheet.png   7 measure restyle on faces that were held out
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out faces composites members most stage stop_stage"
data=""
out=exp/portraits
faces=""
composites=170
members=13
most=330
stage=1
stop_stage=7
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
if [ ! -f "$data/faces.csv" ]; then die "--data '$data': expected a folder with faces.csv"; fi
needs 6 6 scipy eval

packages=$out/packages
mkdir -p "$packages"
store=${faces:-$out/faces.h5}

if stage_is 1 "packages"; then
    python3 "$here/local/fetch.py" "$packages"
fi

if stage_is 2 "the landmark network as ours"; then
    python3 "$here/local/convert_landmarks.py" "$packages" "$out/landmarks.safetensors"
fi

if stage_is 3 "face embeddings" && [ -z "$faces" ]; then
    python3 "$here/local/list_faces.py" "$data" "$out/faces.txt"
    some_may_fail "$store" facevc extract-face "@$out/faces.txt" -o "$store" --embedder fused
fi

if stage_is 4 "survey"; then
    python3 "$here/local/survey.py" "$data" "$store" "$out/survey.npz" "$most"
fi

if stage_is 5 "who is averaged with whom"; then
    python3 "$here/local/select_members.py" "$data" "$store" "$out/survey.npz" "$out/groups.json" \
        --composites "$composites" --members "$members"
fi

if stage_is 6 "average"; then
    python3 "$here/local/build.py" "$data" "$store" "$out/survey.npz" "$out/groups.json" "$packages" "$out"
fi

if stage_is 7 "measure restyle"; then
    python3 "$here/local/measure_restyle.py" "$data" "$out/composites" "$store" "$out/restyled" --count 20
fi
echo "== $SECONDS s: done, in $out" >&2
