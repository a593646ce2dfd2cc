#!/usr/bin/env bash
# Builds the images of tieline-controller and tieline-proxy: Debian 13's libraries (hack/images/root.sh), the program, no shell. Needs
# Swift, buildah and a Debian mirror; no registry.
#
#   hack/images/build.sh [--registry PREFIX] [--tag TAG] [--binaries DIR] [--storage DIR]
#
#   --registry PREFIX  the images are PREFIX/tieline-controller:TAG and PREFIX/tieline-proxy:TAG (default: localhost)
#   --tag TAG          default: dev
#   --binaries DIR     programs that hack/build.sh has built already; default: builds them (.build/release)
#   --storage DIR      keeps the images in DIR, instead of where podman and buildah keep theirs
#
# Equal programs and packages give equal images: times are those of SOURCE_DATE_EPOCH, by default of the last commit.
set -euo pipefail
cd "$(dirname "$0")/../.."
registry=localhost tag=dev binaries= storage=
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "hack/images/build.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --registry) registry=${2:?} ;;
    --tag) tag=${2:?} ;;
    --binaries) binaries=${2:?} ;;
    --storage) storage=${2:?} ;;
    *) usage ;;
  esac
  shift 2
done
command -v buildah >/dev/null || fail "no buildah here: apt-get install buildah"

if [ -z "$binaries" ]; then
  hack/build.sh
  binaries=.build/release
fi
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

work=$(mktemp -d "${TMPDIR:-/tmp}/tieline-images-XXXXXX")
containers=()
finish() {
  for container in "${containers[@]}"; do store rm "$container" >/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
store() { # store WORDS...: buildah, with the images where they are wanted
  buildah ${storage:+--root "$storage/root" --runroot "$storage/run"} "$@"
}

# add_layer IMAGE FROM FOLDER [CONFIG...]: IMAGE is FROM with the files of FOLDER
add_layer() {
  local image=$1 from=$2 folder=$3 container
  shift 3
  container=$(store from --pull=false "$from")
  containers+=("$container")
  store copy --quiet --chown 0:0 "$container" "$folder" / >/dev/null
  store config --created-by hack/images/build.sh "$@" "$container"
  store commit --quiet --timestamp "$epoch" "$container" "$image" >/dev/null
}

hack/images/root.sh "$work/root"
add_layer localhost/tieline-root scratch "$work/root"
for program in tieline-controller tieline-proxy; do
  hack/images/program.sh "$binaries/$program" "$work/$program"
  add_layer "$registry/$program:$tag" localhost/tieline-root "$work/$program" \
    --user 65532:65532 --entrypoint "[\"/usr/local/bin/$program\"]" --label org.opencontainers.image.title=$program
  echo "$registry/$program:$tag"
done
