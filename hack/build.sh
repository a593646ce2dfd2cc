#!/usr/bin/env bash
# Builds the programs as images have them, with the Swift runtime inside: .build/release. Tests, the demo and releases run these.
#
#   hack/build.sh [WORDS...]   WORDS are passed on to swift build (--product tieline-proxy)
set -euo pipefail
cd "$(dirname "$0")/.."
exec swift build -c release --static-swift-stdlib "$@"
