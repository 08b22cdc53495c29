# Sourced by recipes of corpora in which a person's face and voice are known, after parse_options: from tables of the corpus to a model and its figures.
# shellcheck shell=bash
# shellcheck disable=SC2034  # run.sh parses these

pair_options="out stage stop_stage embedder held_out features steps device jobs engine"
out="exp/$(basename "$(cd "$(dirname "$0")" && pwd)")"
stage=1
stop_stage=6
embedder=fused
held_out=0.15
features=no
steps=""
device=auto
jobs=0
engine=local # where the stages work that go through the files, as facevc's --engine names it
preset=cmpc # recipes that offer cmpc-resnet, too, list these three among their options
width=64
precision=no

check_pair_options() {
    case "$embedder" in
        dlib) face_dim=128 ;;
        fused) face_dim=162 ;;
        *) die "--embedder '$embedder': expected fused or dlib" ;;
    esac
    [[ $features =~ ^(yes|no)$ ]] || die "--features '$features': expected yes or no"
    [[ $held_out =~ ^0?\.[0-9]+$ ]] || die "--held-out '$held_out': expected a share between 0 and 1, such as 0.15"
    [[ $steps =~ ^([1-9][0-9]*)?$ ]] || die "--steps '$steps': expected a whole number from 1 on"
    [[ $preset =~ ^cmpc(-resnet)?$ ]] || die "--preset '$preset': expected cmpc or cmpc-resnet"
    [[ $width =~ ^[1-9][0-9]*$ ]] || die "--width '$width': expected a whole number from 1 on"
    [[ $precision =~ ^(no|bf16)$ ]] || die "--precision '$precision': expected no or bf16"
    needs 5 5 accelerate train
}

# make_pairs RECORDINGS PICTURES: stages 2 to 6. Stage 1 left OUT/voices.csv and OUT/faces.csv (utterance, speaker), and OUT/people.csv (person, gender, age).
make_pairs() {
    local sound=$1 pictures=$2 common with_voices=yes crops=() trained
    common=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    trained=("$out/voices.h5" --set "model.face_dim=$face_dim")
    if [ "$preset" = cmpc-resnet ]; then # it looks at the pictures and hears the log-mels themselves
        with_voices=no
        features=yes
        crops=(--store-crops 128)
        trained=("$out/features.h5" --precision "$precision" --set "model.network.width=$width" ${steps:+--set train.workers=0})
    fi
    if stage_is 2 "sound at 16 kHz"; then
        some_may_fail "$out/wav/manifest.csv" facevc extract-wav "$sound" -o "$out/wav" --speakers "$out/voices.csv" --jobs "$jobs" --engine "$engine"
    fi
    if stage_is 3 "voices"; then
        if [ "$with_voices" = yes ]; then
            some_may_fail "$out/voices.h5" facevc extract-spkemb "$out/wav" -o "$out/voices.h5" --speakers "$out/voices.csv" --jobs "$jobs" --engine "$engine"
        fi
        if [ "$features" = yes ]; then
            some_may_fail "$out/features.h5" facevc extract-features "$out/wav" -o "$out/features.h5" --mel fvmvc --speakers "$out/voices.csv" --jobs "$jobs" --engine "$engine"
        fi
    fi
    if stage_is 4 "faces"; then
        some_may_fail "$out/faces.h5" facevc extract-face "$pictures" -o "$out/faces.h5" --speakers "$out/faces.csv" --embedder "$embedder" \
            --every 10 --max-frames 5 --jobs "$jobs" --engine "$engine" "${crops[@]}"
    fi
    if stage_is 5 "training"; then
        facevc train "$out/faces.h5" "${trained[@]}" --preset "$preset" -o "$out/train" --device "$device" \
            --set "train.validation_share=$held_out" ${steps:+--set "train.steps=$steps"}
    fi
    if stage_is 6 "figures on people who were held out"; then
        python3 "$common/held_out_pairs.py" "$out" "$pictures" --share "$held_out"
        some_may_fail "$out/evaluation/association.json" facevc evaluate --association "$out/pairs.csv" --system "$preset=$out/train" -o "$out/evaluation"
    fi
    echo "== $SECONDS s: done, in $out" >&2
}
