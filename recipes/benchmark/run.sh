#!/usr/bin/env bash
# A benchmark on your own folders of voices and faces: draw by a protocol, convert, measure, and a page to look at and listen to.
# Cost of held-out (24 x 24) with all baselines: 1,176 files, 200 MB, about an hour on two cores (estimated from a trial). No GPU is needed.
#
# run.sh --sources FOLDER --faces FOLDER --labels TABLE --sources-table TABLE [--protocol NAME] [--out DIR] [other options]
#
#   --sources WHAT         a folder of recordings; or a table (path, source_id, speaker, gender, transcript), which is --sources-table too
#   --faces FOLDER         images, FOLDER/PERSON/IMAGE.jpg
#   --labels TABLE         target (the person's folder), gender, references (real recordings of the person, between |), and any column
#                          that the figures may be sliced by
#   --sources-table TABLE  source_id (a recording's path below the folder, without suffix), speaker, gender, transcript
#   --protocol NAME        held-out, paper, hyface, a YAML file, or none: everything with everything, without tables too (held-out)
#   --out DIR              everything goes here (exp/benchmark)
#   --stage N              first stage to run (1)
#   --stop-stage N         last stage to run (3)
#   --checkpoint DIR       the model (the bundled one)
#   --vocoder NAME         (auto)
#   --system NAME          what the figures call it (the model's name)
#   --baselines NAMES      what stands beside it, or none (shuffled-faces shuffled-within-gender mean-face source voice)
#   --degrade SPECS        worse images beside it, such as "blur=4 jpeg=10"
#   --others TABLES        other systems' conversions to measure with it: CSV tables as README.md says
#   --by COLUMNS           of --labels, such as "age_bin group": figures of each of their values
#   --judges NAME          light, or all: a recogniser for WER and CER, predicted MOS and further speaker judges too, with the extra [eval] (all)
#   --language NAME        spoken in the sources, such as en; by default recognised
#   --listening-test FILE  an HTML page for people to judge by, too
#   --device NAME          (auto)
#   --limit N              conversions at most, for a trial
#   --seed N               of the draw, the shuffling and the intervals (0)
#   --jobs N               processes of the measuring; 0 takes one a processor (0)
#
#   1 check folders and tables   2 convert   3 evaluate
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options="sources faces labels sources_table protocol out stage stop_stage checkpoint vocoder system baselines degrade others by judges language listening_test device limit seed jobs"
sources=""
faces=""
labels=""
sources_table=""
protocol=held-out
out=exp/benchmark
stage=1
stop_stage=3
checkpoint=""
vocoder=auto
system=""
baselines="shuffled-faces shuffled-within-gender mean-face source voice"
degrade=""
others=""
by=""
judges=all
language=""
listening_test=""
device=auto
limit=""
seed=0
jobs=0
# shellcheck source=recipes/common/options.sh
. "$here/../common/options.sh"
parse_options "$@"
set_judges

[ -e "$sources" ] || die "--sources '$sources': expected a folder of recordings, or a table of them"
[ -d "$faces" ] || die "--faces '$faces': expected a folder that holds PERSON/IMAGE.jpg"
recordings=$sources
if [ -f "$sources" ]; then
    sources_table=${sources_table:-$sources}
    recordings=$out/sources
fi
if [ "$protocol" != none ]; then
    [ -f "$labels" ] || die "--labels '$labels': expected a table with the columns target, gender and references; the protocol draws by gender"
    [ -f "$sources_table" ] || die "--sources-table '$sources_table': expected a table with the columns source_id, speaker and gender"
fi

known=(${labels:+--labels "$labels"})
spoken=(${sources_table:+--sources "$sources_table"})
converting=(${checkpoint:+--checkpoint "$checkpoint"} ${system:+--system "$system"} ${limit:+--limit "$limit"})
if [ "$protocol" != none ]; then converting+=(--protocol "$protocol"); fi
if [ "$baselines" != none ]; then for name in $baselines; do converting+=(--baseline "$name"); done; fi
for spec in $degrade; do converting+=(--degrade "$spec"); done
measuring=("${spoken[@]}" ${language:+--language "$language"} ${listening_test:+--listening-test "$listening_test"})
for column in $by; do measuring+=(--by "$column"); done
mkdir -p "$out"

# A manifest keeps its rows: another draw into it would be measured as one with the first.
drawn="$protocol, seed $seed, of $(realpath "$sources") and $(realpath "$faces")"
if [ -e "$out/drawn.txt" ] && [ "$(<"$out/drawn.txt")" != "$drawn" ]; then
    die "$out holds another draw ($(<"$out/drawn.txt")): choose another --out, or remove it"
fi

if stage_is 1 "folders and tables"; then
    python3 "$here/local/check.py" "$sources" "$faces" "$out" "${known[@]}" "${spoken[@]}"
fi

if stage_is 2 "converting"; then
    printf '%s\n' "$drawn" >"$out/drawn.txt"
    some_may_fail "$out/converted/manifest.csv" facevc benchmark "$recordings" --face "$faces" -o "$out/converted" --vocoder "$vocoder" \
        --device "$device" --seed "$seed" "${known[@]}" "${spoken[@]}" "${converting[@]}"
fi

if stage_is 3 "figures"; then
    manifest=$out/converted/manifest.csv
    if [ -n "$others" ]; then
        read -ra tables <<<"$others"
        python3 "$here/local/join.py" "$out/converted/joined.csv" "$manifest" "${tables[@]}"
        manifest=$out/converted/joined.csv
    fi
    facevc evaluate "$manifest" -o "$out/evaluation" --seed "$seed" --jobs "$jobs" "${known[@]}" "${measuring[@]}" "${heard[@]}"
fi
echo "== $SECONDS s: done, in $out" >&2
