#!/usr/bin/env bash
# Tries in full, with the release binary, what the test command tries a part of: the program struck at every call of
# apply, update and destroy, 200 lives in bad weather, and 500 resources at AWS's rates. Or only the parts that are named.
# Set STACKCTL_BENCH_BINARY to try a binary that is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/release.sh
. tests/release.sh
export STACKCTL_TEST_BINARY="$STACKCTL_BENCH_BINARY"

[ "$#" -gt 0 ] || set -- crash chaos limits
for part in "$@"; do
    printf '\n== %s\n' "$part"
    case "$part" in
    crash) STACKCTL_CRASH=all cargo test --locked --test main crash:: ;;
    chaos) STACKCTL_CHAOS=200 cargo test --locked --test main chaos:: ;;
    limits) tests/limits.sh ;;
    *)
        echo "there is no part $part: crash, chaos or limits" >&2
        exit 64
        ;;
    esac
done
