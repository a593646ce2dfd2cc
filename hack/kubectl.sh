#!/usr/bin/env bash
# A kubectl that is new enough for the tests and the demo (wait --for=jsonpath, patch --subresource): 1.28.
#
#   hack/kubectl.sh           prints the folder to put on the PATH; nothing when the kubectl on the PATH is good already
#   hack/kubectl.sh --fetch   gets one first where there is none: from a newer Debian (Debian 12 has 1.20), unpacked into
#                             ${XDG_CACHE_HOME:-~/.cache}/tieline/kubectl. Nothing is installed, no root is needed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tieline/kubectl
least=28
fail() { echo "hack/kubectl.sh: $*" >&2; exit 1; }
. "$here/debian.sh"

good() { # good PROGRAM
  local minor
  minor=$("$1" version --client -o json 2>/dev/null | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p' | head -1) || return 1
  [ "${minor:-0}" -ge $least ]
}

fetch() {
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  ! good "$cache/bin/kubectl" || return 0
  local suite package
  work=$(mktemp -d "$cache/new-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # As the package is called in sid and in Debian 13. A binary of sid may one day want a newer libc than this machine's.
  for suite in "${TIELINE_DEBIAN_SUITE:-sid} kubectl" "trixie kubernetes-client"; do
    package=${suite#* }
    TIELINE_DEBIAN_SUITE=${suite% *} debian_open "$work"
    rm -f "$work"/*.deb
    (cd "$work" && debian_apt apt-get -qq download "$package") || continue
    dpkg -x "$work/$package"_*.deb "$work/root"
    if good "$work/root/usr/bin/kubectl"; then
      mkdir -p "$cache/bin"
      mv "$work/root/usr/bin/kubectl" "$cache/bin/kubectl"
      return
    fi
  done
  fail "no kubectl 1.$least or newer from Debian runs here: put one on the PATH"
}

if good kubectl; then exit; fi
[ "${1:-}" != --fetch ] || fetch
good "$cache/bin/kubectl" || fail "kubectl 1.$least or newer is needed: run hack/kubectl.sh --fetch, or put one on the PATH"
echo "$cache/bin"
