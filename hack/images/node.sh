#!/usr/bin/env bash
# Puts the images of a test cluster where its node takes them from: STATE/images has a line for each (hack/devnode-core/ImageTable.swift),
# STATE/seccomp.json is the profile that container engines apply by default.
#
#   hack/images/node.sh BIN STATE   BIN has our programs, built by hack/build.sh
#
# Layers are kept in ${XDG_CACHE_HOME:-~/.cache}/tieline/images, named by what is in them: a changed program makes a layer of its own anew,
# the rest is made once. The images of our programs are those of hack/images/build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tieline/images
bin=${1:?the folder of the programs} state=${2:?the state of the cluster}
fail() { echo "hack/images/node.sh: $*" >&2; exit 1; }
mkdir -p "$cache"
new=
trap 'rm -rf "$new"' EXIT

# layer NAME KEY COMMAND...: sets $layer to the folder that COMMAND made when it was called with its path as the last word
layer() {
  local name=$1 key
  key=$(sha256sum <<<"$2" | cut -c1-16)
  shift 2
  layer=$cache/$name-$key
  if [ ! -d "$layer" ]; then
    exec 9>"$cache/.$name.lock"
    flock 9 # another cluster may be making it
    if [ ! -d "$layer" ]; then
      new=$(mktemp -d "$cache/.new-XXXXXX")
      "$@" "$new/layer" || fail "cannot make the layer $name"
      mv "$new/layer" "$layer"
      rm -rf "$new"
    fi
    exec 9>&-
  fi
  touch "$layer" # is in use; see below
}

packages() { "$here/root.sh" "${@: -1}" "${@:1:$#-1}"; } # packages PACKAGE... FOLDER

seccomp() { # the profile is a file of a package that would bring a container engine along
  . "$here/../debian.sh"
  mkdir "$1"
  TIELINE_DEBIAN_SUITE=trixie debian_open "$1"
  (cd "$1" && debian_apt apt-get -qq download golang-github-containers-common) &&
    dpkg-deb --fsys-tarfile "$1"/*.deb | tar -x -C "$1" --strip-components=4 ./usr/share/containers/seccomp.json &&
    rm -rf "$1"/*.deb "$1/apt"
}

sources=$(cat "$here/root.sh" "$here/program.sh" "$here/../debian.sh" "$here/node.sh")
layer root "$sources" packages
root=$layer
: >"$state/images"
for program in tieline-controller tieline-proxy traffic; do
  [ -x "$bin/$program" ] || continue
  layer "$program" "$sources$(b2sum <"$bin/$program")" "$here/program.sh" "$bin/$program"
  echo "$program:dev /usr/local/bin/$program 65532:65532 $layer $root" >>"$state/images"
done
layer tools "$sources" packages nginx python3 curl coreutils dash libc-bin util-linux
echo "nginx:dev /usr/sbin/nginx 0:0 $layer" >>"$state/images"
echo "python:dev /usr/bin/python3 0:0 $layer" >>"$state/images"
layer seccomp "$sources" seccomp
cp "$layer/seccomp.json" "$state/seccomp.json"

find "$cache" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + # what no cluster was started with for a week
