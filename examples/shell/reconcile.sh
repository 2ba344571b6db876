#!/bin/sh
# A site kept by `reconcile` from any pipeline, or from cron. Run it where reconcile.toml is:
#
#   reconcile.sh plan     makes and saves the plan, for somebody to look at
#   reconcile.sh apply    carries out the saved plan, or refuses it if something moved since
#   reconcile.sh daily    looks whether somebody changed something, and whether certificates will be renewed
#
# What stands behind the first word is passed on to every `reconcile`, for example `--config site.toml`.
# Exit codes: 0 all is well, 1 an error or something to look at, 2 (plan) changes are pending.
set -eu

RECONCILE=${RECONCILE:-reconcile}
PLAN=${PLAN:-plan.json}

plan() {
    code=0
    "$RECONCILE" plan --detailed-exitcode --out "$PLAN" "$@" || code=$?
    # Without changes there is nothing to carry out.
    if [ "$code" -eq 0 ]; then
        rm -f "$PLAN"
    fi
    return "$code"
}

apply() {
    if [ ! -f "$PLAN" ]; then
        echo "no plan was saved: nothing to do" >&2
        return 0
    fi
    code=0
    "$RECONCILE" apply "$PLAN" --format json "$@" || code=$?
    # A saved plan is good for one run, also for one that ended early.
    rm -f "$PLAN"
    return "$code"
}

daily() {
    worst=0
    code=0
    "$RECONCILE" plan --detailed-exitcode "$@" || code=$?
    case $code in
    0) ;;
    2)
        echo "something differs from the configuration, or waits for the next run: see the plan above" >&2
        worst=1
        ;;
    *) worst=1 ;;
    esac
    "$RECONCILE" status --check "$@" || worst=1
    return "$worst"
}

case ${1:-} in
plan | apply | daily) ;;
*)
    echo "usage: $0 plan|apply|daily [OPTION...]" >&2
    exit 64
    ;;
esac
"$@"
