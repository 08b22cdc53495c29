#!/usr/bin/env bash
# CREMA-D: faces and voices of 91 actors, for a model that ranks faces and voices by real pairs.
# Cost (estimated from its parts, not yet run whole): 1 GB of disk beside CREMA-D itself; half an hour on 16 cores; no GPU.
#
# run.sh --crema-d DIR [other options]
#
#   --crema-d DIR      CREMA-D: DIR/AudioWAV/1001_DFA_ANG_XX.wav, DIR/VideoFlash/1001_DFA_ANG_XX.flv, DIR/VideoDemographics.csv
#   --out DIR          everything goes here (exp/crema-d)
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
options="crema_d out stage stop_stage embedder held_out features steps device jobs engine"
crema_d=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
# shellcheck source=recipes/common/real_pairs.sh
. "$here/../common/real_pairs.sh"
parse_options "$@"
check_pair_options
[ -d "$crema_d/AudioWAV" ] || die "--crema-d '$crema_d': expected the folder that holds AudioWAV, VideoFlash and VideoDemographics.csv"
mkdir -p "$out"

if stage_is 1 "tables"; then
    python3 "$here/local/list_people.py" "$crema_d" "$out"
fi

make_pairs "$crema_d/AudioWAV" "$crema_d/VideoFlash"
