#!/usr/bin/env bash
# What the size of a cluster costs: hack/scale.py says what, and with which arguments. Builds the release first, unless TIELINE_BIN
# names a folder of programs. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${TIELINE_BIN:-}" ] || hack/build.sh
exec python3 hack/scale.py "$@"
