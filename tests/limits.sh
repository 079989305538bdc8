#!/usr/bin/env bash
# Plans, applies and destroys a stack of 500 resources (or as many as named, in tens) on the local cloud at AWS's rates,
# with the release binary. Prints for each run its time beside the least that the rates allow, and its memory; fails when
# a call is refused, when a run takes more than 1.3 times that time, or more than 150 MB.
# Set STACKCTL_BENCH_BINARY to measure a binary that is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/release.sh
. tests/release.sh
export STACKCTL_TEST_BINARY="$STACKCTL_BENCH_BINARY" STACKCTL_TEST_RESOURCES="${1:-500}" STACKCTL_LIMITS_ASSERT=1
exec cargo test --locked --test main limits:: -- --nocapture
