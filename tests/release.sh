#!/usr/bin/env bash
# Read by the other scripts: sets STACKCTL_BENCH_BINARY to the release binary, built anew unless it names one already.
if [ -z "${STACKCTL_BENCH_BINARY:-}" ]; then
    cargo build --release --locked
    STACKCTL_BENCH_BINARY="${CARGO_TARGET_DIR:-target}/release/stackctl"
fi
STACKCTL_BENCH_BINARY="$(realpath "$STACKCTL_BENCH_BINARY")"
export STACKCTL_BENCH_BINARY
