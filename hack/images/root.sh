#!/usr/bin/env bash
# Makes the folder ROOT: what a program of ours needs around it in an image, unpacked from Debian 13's packages. It has libc, OpenSSL,
# libcurl with what they need, the public certificate authorities, users, and no shell. Needs apt-get and a Debian mirror
# (hack/debian.sh), no root.
#
#   hack/images/root.sh ROOT [PACKAGE...]   with PACKAGEs: these, with all that they depend on and their programs, for tests
#
# What was unpacked is recorded in ROOT/var/lib/dpkg/status.d, where scanners for vulnerable packages look.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "hack/images/root.sh: $*" >&2; exit 1; }
. "$here/../debian.sh"

root=${1:?the folder to make}
[ ! -e "$root" ] || fail "$root is there already"
packages=(libc6 libgcc-s1 libstdc++6 libssl3t64 libcurl4t64) # with all that they depend on
unwanted=(--exclude='./usr/bin' --exclude='./usr/sbin')
if [ $# -gt 1 ]; then packages=("${@:2}") unwanted=(); fi
files=(base-files ca-certificates)                           # their files only: what they depend on is for their scripts

work=$(mktemp -d "${TMPDIR:-/tmp}/tieline-root-XXXXXX")
trap 'rm -rf "$work"' EXIT
TIELINE_DEBIAN_SUITE=${TIELINE_DEBIAN_SUITE:-trixie} debian_open "$work"
# The own status of apt is empty, so that it takes nothing for installed.
debian_apt apt-get -qq --yes --no-install-recommends --download-only install "${packages[@]}" >/dev/null ||
  fail "cannot get ${packages[*]} from $debian"
(cd "$work/apt/archives" && debian_apt apt-get -qq download "${files[@]}") || fail "cannot get ${files[*]} from $debian"

mkdir -p "$root"/{etc/ssl/certs,tmp,usr/lib,usr/lib64,usr/local/bin,var/lib/dpkg/status.d}
ln -s usr/lib "$root/lib" # Debian 13's packages have their files below /usr alone
ln -s usr/lib64 "$root/lib64"
ln -s ../run "$root/var/run"
for package in "$work"/apt/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
    --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian' --exclude='./usr/share/bug' \
    --exclude='./usr/lib/*/gconv' --exclude='./usr/share/doc/*/*.gz' "${unwanted[@]}"
  dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done

cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
printf '%s\n' 'root:x:0:0:root:/root:/usr/sbin/nologin' 'tieline:x:65532:65532:tieline:/:/usr/sbin/nologin' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'tieline:x:65532:' >"$root/etc/group"
chmod 1777 "$root/tmp"
