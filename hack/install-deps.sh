#!/usr/bin/env bash
# Installs what building, testing and the demo need, from Debian's packages. Needs root; does nothing when all is there.
# A kubectl that is new enough is unpacked into the user's cache if none is on the PATH: hack/kubectl.sh.
#
#   hack/install-deps.sh [PACKAGE...]   installs what is missing, and these packages
#   hack/install-deps.sh --check        says what is missing (exit code 1), installs nothing
#
# Swift 6.3 or newer must be on the PATH already.
set -euo pipefail

packages=(
  libcurl4-openssl-dev libssl-dev                      # HTTPTransport, TLS
  nftables iproute2 procps util-linux runc             # hack/devnode: namespaces, bridges, rules, containers
  ca-certificates curl git jq python3 python3-venv     # scripts and tests
  libncurses6 libxml2 g++                              # Swift's own programs, and the C++ library that it links
  gcc libc6-dev                                        # the slow link of Tests/Chaos, the load of hack/bench.sh
  python3-cryptography                                 # the hostile peer of Tests/Hostile
  haproxy lua5.1                                       # Tests/EndToEnd: who reads PROXY headers; Argo CD's health checks
)
[ "${1:-}" = --check ] || packages+=("$@")
cd "$(dirname "$0")/.."

say() { echo "hack/install-deps.sh: $*" >&2; }
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done

if [ "${1:-}" = --check ]; then
  hack/kubectl.sh >/dev/null 2>&1 || missing+=(kubectl)
  command -v swift >/dev/null || missing+=(swift)
  [ ${#missing[@]} -gt 0 ] || exit 0
  say "missing: ${missing[*]}"
  exit 1
fi
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    say "run me as root: I have to install ${missing[*]}"
    exit 1
  fi
fi

# Servers are wanted as programs, not as services of this machine: nothing is started by their installation.
keep_services_off() {
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap "rm -f $policy" EXIT
  fi
}

install_missing() {
  local options=(-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends -y -qq) package
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update || say "apt-get update failed; going on with the package lists that are here"
  keep_services_off
  if ! apt-get "${options[@]}" install "${missing[@]}" >/dev/null; then
    for package in "${missing[@]}"; do # once more one by one, to say which
      apt-get "${options[@]}" install "$package" >/dev/null || { say "cannot install the package $package"; exit 1; }
    done
  fi
  for package in nginx haproxy; do
    if [[ " ${missing[*]} " == *" $package "* ]] && [ -d /run/systemd/system ]; then
      systemctl disable --quiet "$package" || true
    fi
  done
}
[ ${#missing[@]} = 0 ] || install_missing

hack/kubectl.sh --fetch >/dev/null
command -v swift >/dev/null || { say "no swift on the PATH: Swift 6.3 or newer is needed"; exit 1; }
