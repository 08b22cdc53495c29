#!/usr/bin/env bash
# XFaVoT: pictures of faces and speech in one space of styles, from tables of speech and faces, or from talking faces.
# Cost: a minute without data; xfavot-64 a night of one CPU core with conf/core.yaml; xfavot a GPU.
#
# run.sh [--data DIR | --clips DIR --people TABLE | --vctk DIR --celeba DIR] [other options]
#
#   --data DIR         speech.csv and faces.csv, as recipes/starter takes them: different people, joined by gender and age
#   --clips DIR        talking faces, a folder for each person, as GRID: DIR/s1/bbaf2n.mpg, or deeper; the clips have their sound
#   --people TABLE     with --clips: person, gender
#   --vctk DIR         VCTK: nobody's face is known
#   --celeba DIR       with --vctk: CelebA-HQ, in folders named female and male
#                      without any of these: drawn faces with synthetic speech, and conf/toy.yaml
#   --out DIR          everything goes here (exp/xfavot)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (11)
#   --preset NAME      xfavot or xfavot-64 (xfavot-64)
#   --conf FILE        differences from the preset, such as recipes/xfavot/conf/core.yaml
#   --ablation NAME    paired-only: nobody of whom only one is known; no-match: without InfoNCE; no-speakers: only the domains of
#                      the genders (none)
#   --hours H          of --data: how much speech is used (1.5)
#   --speakers N       of --data: how many speakers are joined with faces (64)
#   --faces N          of --data: how many faces are used (2000)
#   --count N          test sources, and test faces (4)
#   --steps N          train N steps only: a rehearsal
#   --precision NAME   bf16 (for a GPU, or a CPU with AMX or AVX-512 BF16) or no (no)
#   --device NAME      (auto)
#   --jobs N           processes of the extracting stages; 0 takes one a processor (0)
#   --vocoder NAME     of stages 8 and 10: griffin-lim, or a Parallel WaveGAN of 24 kHz and hop 300 (griffin-lim)
#   --judges NAME      of stage 11: light, or all: a recogniser for CER, predicted MOS and further speaker judges too (light)
#
#   1 tables   2 log-mels   3 d-vectors, to join different people   4 faces   5 the table of people   6 train
#   7 import-checkpoint   8 sample   9 restyle   10 convert   11 evaluate
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="data clips people vctk celeba out stage stop_stage preset conf ablation hours speakers faces count steps precision device jobs vocoder judges"
data=""
clips=""
people=""
vctk=""
celeba=""
out=exp/xfavot
stage=1
stop_stage=11
preset=xfavot-64
conf=""
ablation=none
hours=1.5
speakers=64
faces=2000
count=4
steps=""
precision=no
device=auto
jobs=0
vocoder=griffin-lim
judges=light
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
set_judges
needs 3 5 scipy eval
needs 6 6 accelerate train
[[ $preset =~ ^xfavot(-64)?$ ]] || die "--preset '$preset': expected xfavot or xfavot-64"
[[ $ablation =~ ^(none|paired-only|no-match|no-speakers)$ ]] || die "--ablation '$ablation': expected none, paired-only, no-match or no-speakers"
[[ $steps =~ ^([1-9][0-9]*)?$ ]] || die "--steps '$steps': expected a whole number from 1 on"
[ -z "$conf" ] || [ -f "$conf" ] || die "--conf '$conf': expected a file of settings"
case "${data:+data}${clips:+clips}${vctk:+vctk}" in
    data)
        if [ ! -f "$data/speech.csv" ] || [ ! -f "$data/faces.csv" ]; then die "--data '$data': expected a folder with speech.csv and faces.csv"; fi
        ;;
    clips)
        [ -d "$clips" ] || die "--clips '$clips': expected a folder of clips"
        [ -f "$people" ] || die "--people '$people': expected a table with the columns person and gender"
        ;;
    vctk)
        [ -f "$vctk/speaker-info.txt" ] || die "--vctk '$vctk': expected a folder with speaker-info.txt"
        [ -d "$celeba" ] || die "--celeba '$celeba': expected a folder of pictures"
        ;;
    "") export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" ;; # so small a model gains nothing from a second thread
    *) die "pass one of --data, --clips and --vctk" ;;
esac
mkdir -p "$out"
if [ -z "$data$clips$vctk" ]; then
    clips=$out/clips
    people=$clips/people.csv
    conf=${conf:-$here/conf/toy.yaml}
    count=2
    [ -f "$people" ] || python3 "$here/../toy/local/make_clips.py" "$clips" --people 4 --clips 1
fi

if stage_is 1 "tables"; then
    if [ -n "$data" ]; then
        python3 "$here/../starter/local/prepare.py" "$data" "$out/tables"
        python3 "$here/local/choose.py" "$data" "$out/tables" "$out" --hours "$hours" --speakers "$speakers" --faces "$faces"
        python3 "$here/../starter/local/held_out.py" "$data" "$out/tables" --count "$count"
        rm -rf "$out/test" && mv "$out/tables/test" "$out/test"
    elif [ -n "$clips" ]; then
        python3 "$here/local/clips.py" "$clips" "$people" "$out" --count "$count"
    else
        python3 "$here/local/unpaired.py" "$vctk" "$celeba" "$out" --count "$count"
    fi
fi

if stage_is 2 "log-mels"; then
    sound=("@$out/speech.txt")
    if [ -n "$clips" ]; then
        some_may_fail "$out/wav/manifest.csv" facevc extract-wav "$clips" -o "$out/wav" --speakers "$out/speakers.csv" --jobs "$jobs"
        sound=("$out/wav")
    fi
    some_may_fail "$out/features.h5" facevc extract-features "${sound[@]}" -o "$out/features.h5" --mel xfavot --speakers "$out/speakers.csv" \
        --split "$out/splits.csv" --jobs "$jobs"
fi

if [ -n "$data" ] && stage_is 3 "d-vectors of those who are joined with faces"; then
    some_may_fail "$out/voices.h5" facevc extract-spkemb "@$out/voices.txt" -o "$out/voices.h5" --speakers "$out/speakers.csv" --jobs "$jobs"
fi

if stage_is 4 "faces"; then
    pictures=("@$out/faces.txt")
    if [ -n "$clips" ]; then pictures=("$clips" --speakers "$out/shown.csv" --every 25 --max-frames 5); fi
    px=64
    if [ "$preset" = xfavot ]; then px=128; fi
    some_may_fail "$out/faces.h5" facevc extract-face "${pictures[@]}" -o "$out/faces.h5" --store-crops "$px" --jobs "$jobs"
fi

if stage_is 5 "who has recordings, pictures or both"; then
    joined=()
    if [ -n "$data" ]; then
        python3 "$here/../starter/local/pair.py" "$out/faces.h5" "$out/voices.h5" "$out/known.csv" "$out/pairs.csv"
        joined=(--pairs "$out/pairs.csv")
    elif [ -n "$clips" ]; then
        joined=(--same-people)
    fi
    if [ "$ablation" = paired-only ]; then joined+=(--paired-only); fi
    python3 "$here/local/people.py" "$out/features.h5" "$out/faces.h5" "$out/known.csv" "$out/people.csv" "${joined[@]}" >"$out/speakers.txt"
fi

if stage_is 6 "training"; then
    domains=$(cat "$out/speakers.txt")
    changed=()
    case "$ablation" in
        no-match) changed=(--set train.match=0) ;;
        no-speakers) domains=0 ;;
    esac
    facevc train "$out/features.h5" "$out/faces.h5" --preset "$preset" ${conf:+--config "$conf"} --pairs "$out/people.csv" -o "$out/train" \
        --set "model.speakers=$domains" --device "$device" --precision "$precision" ${steps:+--set "train.steps=$steps"} "${changed[@]}"
fi

if stage_is 7 "the folder to use"; then
    origin="recipes/xfavot: people with their own faces"
    if [ -n "$data" ]; then origin="recipes/xfavot: speech and faces of different people, joined by gender and age"; fi
    if [ -n "$vctk" ]; then origin="recipes/xfavot: speech and faces of different people, which are not joined"; fi
    facevc import-checkpoint "$out/train" -o "$out/model" --half --overwrite --origin "$origin"
fi

if stage_is 8 "faces and voices of nobody"; then
    facevc sample --checkpoint "$out/model" --count "$count" -o "$out/samples" --vocoder "$vocoder" --device "$device" --overwrite
fi

if stage_is 9 "every test face in the style of the first source's voice"; then
    guide=$(find "$out/test/sources/" -name '*.*' | sort | head -n 1)
    some_may_fail "$out/restyled/restyled.csv" facevc restyle "$out/test/faces" --voice "$guide" --checkpoint "$out/model" -o "$out/restyled" --overwrite
fi

if stage_is 10 "every test source towards every test face"; then
    some_may_fail "$out/converted/manifest.csv" facevc convert "$out/test/sources" --face "$out/test/faces" -o "$out/converted" \
        --checkpoint "$out/model" --vocoder "$vocoder" --device "$device"
fi

if stage_is 11 "figures"; then
    facevc evaluate "$out/converted/manifest.csv" -o "$out/evaluation" --labels "$out/test/targets.csv" --sources "$out/test/sources.csv" "${heard[@]}"
fi
echo "== $SECONDS s: done, in $out" >&2
