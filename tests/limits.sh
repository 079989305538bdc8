#!/usr/bin/env bash
# Plans, applies and destroys a stack of 500 resources (or as many as named, in tens) on the local cloud at AWS's rates.
# Prints for each run its time beside the least that the rates allow, and its memory; fails when a call is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

export STACKCTL_TEST_RESOURCES="${1:-500}"
exec cargo test --locked --test main limits -- --nocapture
