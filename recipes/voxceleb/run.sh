#!/usr/bin/env bash
# VoxCeleb1: faces and voices of 1,251 celebrities, for a model that ranks faces and voices by real pairs.
# Cost (estimated from its parts, not yet run whole): 7 GB of disk beside VoxCeleb1 itself; an hour on 16 cores; no GPU.
# With --preset cmpc-resnet a GPU for about half a day (estimated); --each 200 or more then pays.
#
# run.sh --voxceleb DIR [other options]
#
#   --voxceleb DIR     VoxCeleb1: DIR/wav/id10001/VIDEO/00001.wav, DIR/unzippedFaces/A.J._Buckley/1.6/VIDEO/NUMBER.jpg, DIR/vox1_meta.csv
#   --each N           recordings and pictures of each person, spread over their videos (20)
#   --out DIR          everything goes here (exp/voxceleb)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (6)
#   --preset NAME      cmpc: on stored embeddings; cmpc-resnet: two ResNets on crops and log-mels, for a GPU (cmpc)
#   --width N          cmpc-resnet: channels of the ResNets' first blocks; 64 makes ResNet-34 (64)
#   --precision NAME   cmpc-resnet: no, or bf16 (no)
#   --embedder NAME    of the faces: fused, or dlib (fused)
#   --held-out SHARE   of the people, who train nothing and are measured (0.15)
#   --features yes     log-mel and F0, too: what 'facevc pretrain' needs (no)
#   --steps N          train N steps only: a rehearsal
#   --device NAME      (auto)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#   --engine NAME      where they work: local, ray, ray://HOST:PORT, slurm or slurm://NAME=VALUE,... (local)
#
#   1 tables   2 extract-wav   3 extract-spkemb   4 extract-face   5 train   6 evaluate --association
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="voxceleb each out stage stop_stage embedder held_out features steps device jobs engine preset width precision"
voxceleb=""
each=20
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
# shellcheck source=recipes/common/real_pairs.sh
. "$here/../common/real_pairs.sh"
parse_options "$@"
check_pair_options
[ -d "$voxceleb" ] || die "--voxceleb '$voxceleb': expected the folder that holds wav, unzippedFaces and vox1_meta.csv"
[[ $each =~ ^[1-9][0-9]*$ ]] || die "--each '$each': expected a whole number from 1 on"
mkdir -p "$out"

if stage_is 1 "tables"; then
    python3 "$here/local/list_people.py" "$voxceleb" "$out" --each "$each"
fi

make_pairs "$out/chosen/voices" "$out/chosen/faces"
