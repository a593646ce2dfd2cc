#!/usr/bin/env bash
# Builds the images and shows that they run as the manifests run them: without root, capabilities, a writable root or a shell, within
# limits; and that equal inputs give equal images. Needs root, buildah, podman and runc.
#
#   hack/images/check.sh [--binaries DIR]   DIR as for hack/images/build.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
state=$(mktemp -d "${TMPDIR:-/tmp}/tieline-check-XXXXXX")
fail() { echo "hack/images/check.sh: FAILED: $*" >&2; exit 1; }
ok() { echo "ok: $*"; }
# podman takes no runroot of more than 50 characters.
engine() { timeout --kill-after 5 60 podman --root "$state/s/root" --runroot "$state/s/run" --runtime runc "$@"; }
finish() {
  engine rm --all --force --time 0 >/dev/null 2>&1 || true
  engine image umount --all >/dev/null 2>&1 || true
  umount "$state"/s/root/overlay 2>/dev/null || true # podman binds its storage to itself
  rm -rf "$state"
}
trap finish EXIT

# What a pod asks for (manifests, and the Deployment that the controller makes); the two limits are those of nested machines.
restricted=(--read-only --user 65532:65532 --cap-drop all --security-opt no-new-privileges --network none
  --ulimit nofile=4096:4096 --ulimit nproc=1000:1000)
run() { engine run --rm "${restricted[@]}" "$@"; }
identifier() { engine image inspect --format '{{.Id}}' "localhost/$1:dev"; }

hack/images/build.sh "$@" --storage "$state/s" >/dev/null
binaries=.build/release
[ "${1:-}" != --binaries ] || binaries=$2
programs=(tieline-controller tieline-proxy)
for program in "${programs[@]}"; do identifier "$program"; done >"$state/first"
hack/images/build.sh --binaries "$binaries" --storage "$state/s" >/dev/null
for program in "${programs[@]}"; do identifier "$program"; done | cmp -s - "$state/first" || fail "the same inputs gave another image"
ok "the same inputs give the same images"

largest=$((120 * 1000 * 1000))
for program in "${programs[@]}"; do
  image=localhost/$program:dev
  size=$(engine image inspect --format '{{.Size}}' "$image")
  [ "$size" -le $largest ] || fail "$program has $size bytes, more than $largest"
  [ "$(engine image inspect --format '{{.User}} {{.Config.Entrypoint}}' "$image")" = "65532:65532 [/usr/local/bin/$program]" ] ||
    fail "$program: user or entry point"
  mounted=$(engine image mount "$image")
  find "$mounted" \( -perm -4000 -o -perm -2000 \) -type f | grep . && fail "$program: files with setuid or setgid"
  find "$mounted" -type f \( -name sh -o -name bash -o -name dash -o -name busybox \) | grep . && fail "$program: a shell"
  engine image umount "$image" >/dev/null
  version=$("$binaries/$program" --version)
  [ "$(run "$image" --version)" = "$version" ] || fail "$program --version is not $version"
  run "$image" --help | grep -q "USAGE: $program" || fail "$program --help"
  ok "$program: $((size / 1000000)) MB, user 65532, no shell, no setuid; --version, --help"
done

code=0
run localhost/tieline-controller:dev run >"$state/out" 2>&1 || code=$?
[ $code != 0 ] && grep -qi kubeconfig "$state/out" || fail "the controller without a cluster: code $code, $(cat "$state/out")"
ok "the controller without a cluster says that it needs one"

mkdir "$state/site"
printf 'apiVersion: tieline.dev/v1alpha1\nkind: Site\nmetadata: {name: image}\nspec: {}\n' >"$state/site/site.yaml"
plain=("${restricted[@]}" --volume "$state/site:/site:ro" --tmpfs /state:mode=1777 --workdir /)
command=(run --site-dir /site --state /state --admin 127.0.0.1:5673 --bind 127.0.0.1)
engine run --detach --name plain "${plain[@]}" --memory 128m --cpus 0.5 localhost/tieline-proxy:dev "${command[@]}" >/dev/null
pid=$(engine inspect --format '{{.State.Pid}}' plain)
deadline=$((SECONDS + 20))
until nsenter --target "$pid" --net curl -sf -o /dev/null http://127.0.0.1:5673/readyz; do
  [ $SECONDS -lt $deadline ] || { engine logs plain >&2; fail "the proxy is not ready after 20 s"; }
  sleep 0.1
done
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status" | tr '\t' ' '; }
[ "$(field Uid)" = "65532 65532 65532 65532" ] || fail "uid $(field Uid)"
[ "$(field CapEff) $(field CapBnd)" = "0000000000000000 0000000000000000" ] || fail "capabilities $(field CapEff) $(field CapBnd)"
[ "$(field NoNewPrivs) $(field Seccomp)" = "1 2" ] || fail "no-new-privileges $(field NoNewPrivs), seccomp $(field Seccomp)"
grep -q ' / / ro[, ]' "/proc/$pid/mountinfo" || fail "the root is writable: $(grep ' / / ' "/proc/$pid/mountinfo")"
ok "the proxy is ready as 65532 with a read-only root, no capabilities, no new privileges, the default seccomp filter"

path=$(sed -nE 's/^[0-9]+:(memory)?:(.*)/\2/p' "/proc/$pid/cgroup" | head -1) # cgroup v1 has one for memory, v2 one for all
limit=$(cat "/sys/fs/cgroup/memory$path/memory.limit_in_bytes" 2>/dev/null || cat "/sys/fs/cgroup$path/memory.max")
[ "$limit" = $((128 << 20)) ] || fail "its memory is limited to $limit bytes, not to 128 MiB"
ok "its memory is limited by the kernel"

engine kill --signal TERM plain >/dev/null
code=$(engine wait plain) || fail "SIGTERM did not end the proxy in 60 s"
[ "$code" = 0 ] || { engine logs plain >&2; fail "the proxy ended with $code after SIGTERM"; }
ok "SIGTERM ends it with 0"
