#!/usr/bin/env bash
# Builds the programs of a release, as images have them, with the Swift runtime inside, and the tools of hack/Package.swift:
# .build/release. Tests, the demo and releases run these.
#
#   hack/build.sh             all of them
#   hack/build.sh PROGRAM     one of the release
set -euo pipefail
cd "$(dirname "$0")/.."
# Two packages build into one folder: the plan of the other one that is kept there is not this one's.
release=(-c release --static-swift-stdlib --disable-build-manifest-caching)
if [ $# -gt 0 ]; then exec swift build "${release[@]}" --product "$1"; fi
swift build "${release[@]}"
exec swift build --package-path hack --scratch-path .build "${release[@]}"
