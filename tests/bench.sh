#!/usr/bin/env bash
# Builds the release binary and measures it on the local cloud; --quick leaves out the stack of 1 000 resources.
# Exits with 1 when a goal is missed. Set STACKCTL_BENCH_BINARY to measure a binary that is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/release.sh
. tests/release.sh
exec python3 -B tests/bench/main.py "$STACKCTL_BENCH_BINARY" "$@"
