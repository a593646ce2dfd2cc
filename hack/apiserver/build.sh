#!/bin/bash
# Builds the test API server (src/) from Debian's packages and prints the path of the program on the last line.
#
#   TIELINE_APISERVER_CACHE  where everything goes; default ${XDG_CACHE_HOME:-~/.cache}/tieline/apiserver
#   TIELINE_DEBIAN_MIRROR, TIELINE_DEBIAN_SUITE: see hack/debian.sh
#
# Go, the Kubernetes libraries and etcd are unpacked into the cache; nothing is installed, no root is needed. The
# first run takes about 4 minutes on 2 cores, one with unchanged sources nothing. Parallel runs wait for each other.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIELINE_APISERVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tieline/apiserver}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
fail() { echo "hack/apiserver/build.sh: $*" >&2; exit 1; }

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
wanted=$(digest "$here/build.sh" "$here/packages.txt" "$here"/src/*.go)
programs=$cache/programs/${wanted:0:16} # by the sources: working copies that differ do not rebuild for each other
done_already() {
  [ -x "$programs/apiserver" ] || return 0
  echo "$programs/apiserver"
  exit
}
done_already # without the lock: another working copy may be building for minutes
exec 9>"$cache/.lock"
flock 9
done_already
. "$here/../debian.sh"

# Unpacks the packages of packages.txt into $cache/root, with an apt of its own: own lists, nothing installed.
fetch() {
  local missing package
  debian_open "$cache"
  missing=$(comm -23 <(sort "$here/packages.txt") <(debian_apt apt-cache pkgnames | sort -u) | paste -sd' ')
  [ -z "$missing" ] || fail "$debian has no package named: $missing (renamed? correct hack/apiserver/packages.txt)"
  mkdir -p "$cache/debs"
  rm -f "$cache"/debs/*.deb
  if ! (cd "$cache/debs" && xargs apt-get "${debian_options[@]}" -qq download <"$here/packages.txt"); then
    while read -r package; do
      (cd "$cache/debs" && debian_apt apt-get -qq download "$package") || fail "cannot download the package $package from $debian"
    done <"$here/packages.txt"
  fi
  rm -rf "$cache/root"
  mkdir -p "$cache/root"
  for package in "$cache"/debs/*.deb; do
    dpkg -x "$package" "$cache/root" || fail "cannot unpack $(basename "$package")"
  done
  (cd "$cache/debs" && ls -- *.deb) >"$cache/versions.txt"
  rm -f "$cache"/debs/*.deb
  debian_close "$cache"
}

packages=$(digest "$here/packages.txt")
if [ "$(cat "$cache/packages.stamp" 2>/dev/null)" != "$packages" ]; then
  fetch
  echo "$packages" >"$cache/packages.stamp"
fi

# GOPATH mode, as Debian's packages lay out the libraries; no network.
GOROOT=$(echo "$cache"/root/usr/lib/go-1.*)
export GOROOT GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0 GOPROXY=off GOTELEMETRY=off GOENV=off
export GOPATH=$cache/gopath:$cache/root/usr/share/gocode GOCACHE=$cache/gocache PATH=$GOROOT/bin:$PATH
own=$cache/gopath/src/tieline.dev
mkdir -p "$cache/bin" "$programs" "$own/openapi"
ln -sfn "$here/src" "$own/apiserver"

# Runs the Go compiler; a library that Debian has moved is named together with the list to correct.
compile() {
  if ! go build "$@" 2>"$cache/build.log"; then
    cat "$cache/build.log" >&2
    sed -nE 's/.*cannot find package "([^"]+)".*/\1/p' "$cache/build.log" | sort -u | while read -r import; do
      echo "hack/apiserver/build.sh: no package of packages.txt has the Go library $import" >&2
    done
    fail "the build failed"
  fi
}

# The OpenAPI definitions of the built-in types are generated, as in Kubernetes' own build.
generation=$(digest "$here/build.sh" "$here/packages.txt")
if [ "$(cat "$cache/openapi.stamp" 2>/dev/null)" != "$generation" ]; then
  compile -o "$cache/bin/openapi-gen" k8s.io/kube-openapi/cmd/openapi-gen
  echo '// Generated from k8s.io/api.' >"$cache/boilerplate.txt"
  groups=({admissionregistration,core,apps,batch,coordination,discovery,events,rbac,authentication,authorization,autoscaling,networking,policy}/v1)
  machinery=k8s.io/apimachinery/pkg extensions=k8s.io/apiextensions-apiserver/pkg/apis/apiextensions
  # The generator only works from inside GOPATH.
  (cd "$own" && "$cache/bin/openapi-gen" --go-header-file "$cache/boilerplate.txt" --output-dir "$own/openapi" \
    --output-pkg tieline.dev/openapi --output-file zz_generated.openapi.go -r "$cache/openapi-violations.txt" \
    "${groups[@]/#/k8s.io/api/}" $machinery/{apis/meta/v1,runtime,version,util/intstr,api/resource} $extensions $extensions/v1)
  echo "$generation" >"$cache/openapi.stamp"
fi

version=$(sed -n 's/^golang-k8s-apiserver-dev_0\.\([0-9.]*\)-.*/\1/p' "$cache/versions.txt")
flags="-s -w"
for value in gitVersion=v1.$version gitMajor=1 gitMinor=${version%%.*} gitCommit=debian gitTreeState=clean buildDate=1970-01-01T00:00:00Z; do
  flags+=" -X k8s.io/component-base/version.$value"
done
cp "$cache/root/usr/bin/etcd" "$programs/etcd"
compile -trimpath -ldflags "$flags" -o "$programs/apiserver.new" tieline.dev/apiserver
mv "$programs/apiserver.new" "$programs/apiserver"
ls -dt "$cache"/programs/* | tail -n +5 | xargs -r rm -rf
echo "$programs/apiserver"
