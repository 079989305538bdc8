#!/usr/bin/env bash
# Builds the release binary and measures it on the local cloud; --quick leaves out the stack of 1 000 resources.
# Exits with 1 when a goal is missed. Set STACKCTL_BENCH_BINARY to measure a binary that is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

binary="${STACKCTL_BENCH_BINARY:-}"
if [ -z "$binary" ]; then
    cargo build --release --locked
    binary="${CARGO_TARGET_DIR:-target}/release/stackctl"
fi
exec python3 -B tests/bench/main.py "$binary" "$@"
