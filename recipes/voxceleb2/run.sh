#!/usr/bin/env bash
# VoxCeleb2: faces and voices of 6,112 celebrities, for a model that ranks faces and voices by real pairs, on one machine or a cluster.
# Cost (estimated from its parts, not yet run whole): 40 GB of disk beside VoxCeleb2 itself; four hours on 16 cores with --each 20; no GPU.
# All 1.1 million utterances (--each 1000) take about forty times as long: that is what --engine is for.
#
# run.sh --voxceleb2 DIR [other options]
#
#   --voxceleb2 DIR    VoxCeleb2: DIR/dev/aac/id00012/VIDEO/00001.m4a, DIR/dev/mp4/id00012/VIDEO/00001.mp4, the same in DIR/test, DIR/vox2_meta.csv
#   --each N           recordings and videos of each person, spread over their videos (20)
#   --out DIR          everything goes here; with a cluster a disk that all its machines see (exp/voxceleb2)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (6)
#   --preset NAME      cmpc: on stored embeddings; cmpc-resnet: two ResNets on crops and log-mels, for a GPU (cmpc)
#   --width N          cmpc-resnet: channels of the ResNets' first blocks; 64 makes ResNet-34 (64)
#   --precision NAME   cmpc-resnet: no, or bf16 (no)
#   --embedder NAME    of the faces: fused, or dlib (fused)
#   --held-out SHARE   of the people, who train nothing and are measured (0.15)
#   --features yes     log-mel and F0, too: what 'facevc pretrain' needs (no)
#   --steps N          train N steps only: a rehearsal
#   --device NAME      of the training (auto)
#   --jobs N           processes, or workers of the cluster; 0 takes as many as there is room for (0)
#   --engine NAME      where stages 2 to 4 work: local, ray, ray://HOST:PORT, slurm or slurm://NAME=VALUE,... (local)
#
#   1 tables   2 extract-wav   3 extract-spkemb   4 extract-face   5 train   6 evaluate --association
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="voxceleb2 each out stage stop_stage embedder held_out features steps device jobs engine preset width precision"
voxceleb2=""
each=20
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
# shellcheck source=recipes/common/real_pairs.sh
. "$here/../common/real_pairs.sh"
parse_options "$@"
check_pair_options
[ -d "$voxceleb2" ] || die "--voxceleb2 '$voxceleb2': expected the folder that holds dev/aac, dev/mp4 and vox2_meta.csv"
[[ $each =~ ^[1-9][0-9]*$ ]] || die "--each '$each': expected a whole number from 1 on"
mkdir -p "$out"

if stage_is 1 "tables"; then
    python3 "$here/../voxceleb/local/list_people.py" "$voxceleb2" "$out" --each "$each"
fi

make_pairs "$out/chosen/voices" "$out/chosen/faces"
