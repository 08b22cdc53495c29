# Sourced by every run.sh, after it has set its options' defaults and listed their names in `options`.
# shellcheck shell=bash

# The comment at the head of run.sh, from its second line to the first that is no comment.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

die() {
    echo "$(basename "$(dirname "$0")")/$(basename "$0"): $*" >&2
    exit 2
}

# `--some-name VALUE` sets $some_name.
parse_options() {
    local name
    while [ $# -gt 0 ]; do
        case "$1" in
            -h | --help) usage && exit 0 ;;
            --*) name=${1#--} ;;
            *) die "unexpected argument '$1'; see --help" ;;
        esac
        name=${name//-/_}
        case " ${options:?} " in
            *" $name "*) ;;
            *) die "unknown option '$1'; known are: $(sed 's/[^ ]*/--&/g; s/_/-/g' <<<"$options")" ;;
        esac
        [ $# -ge 2 ] || die "$1 needs a value"
        printf -v "$name" '%s' "$2"
        shift 2
    done
    local limit
    for limit in stage stop_stage; do
        [[ ${!limit} =~ ^[0-9]+$ ]] || die "--${limit/_/-} '${!limit}': expected a whole number"
    done
    [ "${stage:?}" -le "${stop_stage:?}" ] || die "--stage $stage comes after --stop-stage $stop_stage"
    command -v facevc >/dev/null || die "the command facevc is not installed here; see the project's README"
}

# needs FIRST LAST MODULE EXTRA: dies before anything is done if a stage from FIRST to LAST is asked for and its package is missing.
needs() {
    [ "$stage" -le "$2" ] && [ "$1" -le "$stop_stage" ] || return 0
    python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$3') is None)" ||
        die "stages $1 to $2 need the package $3, which is not installed: pip install 'facevc[$4]'"
}

# --judges light|all -> $heard, options of `facevc evaluate`: without the recogniser, the MOS predictors and the independent judges it takes seconds.
# shellcheck disable=SC2034  # run.sh uses it
set_judges() {
    case "${judges:?}" in
        light) heard=(--recogniser none --no-naturalness --no-independent-judges) ;;
        all) heard=() ;;
        *) die "--judges '$judges': expected light or all" ;;
    esac
}

# stage_is N TITLE: whether stage N is among those asked for; says so, with the seconds that the run has taken.
stage_is() {
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    echo "== $SECONDS s: stage $1, $2" >&2
}

# some_may_fail FILE COMMAND...: goes on when the command could not use some of its inputs (it has listed them), but wrote FILE.
some_may_fail() {
    local written=$1 status=0
    shift
    "$@" || status=$?
    if [ "$status" -eq 1 ] && [ -e "$written" ]; then
        echo "going on without what failed" >&2
    elif [ "$status" -ne 0 ]; then
        exit "$status"
    fi
}
