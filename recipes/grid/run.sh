#!/usr/bin/env bash
# GRID: faces and voices of 33 speakers, for a model that ranks faces and voices by real pairs.
# Cost (estimated from its parts, not yet run whole): 4 GB of disk beside GRID itself; two hours on 16 cores; no GPU.
#
# run.sh --grid DIR [other options]
#
#   --grid DIR         GRID: DIR/s1/bbaf2n.mpg, or deeper, as DIR/s1/video/mpg_6000/bbaf2n.mpg; the clips have their sound
#   --people TABLE     person, gender, age: figures within a gender and an age, too
#   --out DIR          everything goes here (exp/grid)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (6)
#   --embedder NAME    of the faces: fused, or dlib (fused)
#   --held-out SHARE   of the people, who train nothing and are measured (0.15)
#   --features yes     log-mel and F0, too: what 'facevc pretrain' needs (no)
#   --steps N          train N steps only: a rehearsal
#   --device NAME      (auto)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#   --engine NAME      where they work: local, ray, ray://HOST:PORT, slurm or slurm://NAME=VALUE,... (local)
#
#   1 tables   2 extract-wav   3 extract-spkemb   4 extract-face   5 train --preset cmpc   6 evaluate --association
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="grid people out stage stop_stage embedder held_out features steps device jobs engine"
grid=""
people=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
# shellcheck source=recipes/common/real_pairs.sh
. "$here/../common/real_pairs.sh"
parse_options "$@"
check_pair_options
[ -d "$grid" ] || die "--grid '$grid': expected the folder that holds s1, s2 and so on"
[ -z "$people" ] || [ -f "$people" ] || die "--people '$people': expected a table with the columns person, gender and age"
mkdir -p "$out"

if stage_is 1 "tables"; then
    python3 "$here/local/list_people.py" "$grid" "$out" ${people:+--people "$people"}
fi

make_pairs "$grid" "$grid"
