#!/usr/bin/env bash
# Makes FOLDER, the layer of an image that has PROGRAM in /usr/local/bin. The program must not need a Swift runtime beside it.
#
#   hack/images/program.sh PROGRAM FOLDER
set -euo pipefail
program=${1:?the program} folder=${2:?the folder to make}
if ldd "$program" | grep -q libswiftCore; then
  echo "hack/images/program.sh: $program needs the Swift runtime: build it with hack/build.sh" >&2
  exit 1
fi
install -D "$program" "$folder/usr/local/bin/${program##*/}"
strip "$folder/usr/local/bin/${program##*/}"
