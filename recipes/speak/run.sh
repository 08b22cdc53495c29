#!/usr/bin/env bash
# speak: the styles of Kokoro's voices, and the map from a voice to a timbre, for facevc speak.
#
# Seconds. It needs what stages 1 and 2 of recipes/parallel made.
#
#   recipes/speak/run.sh [options]
#
#   --parallel FOLDER  output of recipes/parallel (exp/parallel)
#   --out FOLDER       where the files go (exp/speak)
#   --stage N          begin with stage N (1)
#   --stop-stage N     end with stage N (2)
#
#   1 styles   2 timbre map
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="parallel out stage stop_stage"
parallel=exp/parallel
out=exp/speak
stage=1
stop_stage=2
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"

[ -d "$parallel/packages/voices" ] || die "--parallel $parallel: expected the output of recipes/parallel, stage 1. Run it first"
mkdir -p "$out"

if stage_is 1 "styles"; then
    python3 "$here/local/voices.py" "$parallel/packages" "$out"
fi

if stage_is 2 "timbre map"; then
    [ -f "$parallel/pool.jsonl" ] || die "$parallel/pool.jsonl: expected the output of recipes/parallel, stage 2. Run it first"
    python3 "$here/local/timbre_map.py" "$parallel" "$out"
fi
echo "== $SECONDS s: done, in $out" >&2
