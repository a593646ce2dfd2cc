#!/usr/bin/env bash
# A test cluster on this machine: a real API server, and a node that runs pods with runc, from images.
#
#   hack/cluster.sh up [--families ipv4|ipv6|dual] [--bin DIR] [--proxy-delay MS]
#   hack/cluster.sh down
#   hack/cluster.sh env                              prints what to set, for: eval "$(hack/cluster.sh env)"
#   hack/cluster.sh exec [--pod NAMESPACE/POD [--container NAME]] COMMAND...
#                                                    in the network of the node, or of a pod; with --container
#                                                    in the container's file system as well
#   hack/cluster.sh logs [--tail N] [NAMESPACE/POD [CONTAINER]]
#   hack/cluster.sh pid NAMESPACE/POD [CONTAINER]    the process of a container, as the host counts
#   hack/cluster.sh apiserver stop|start             the API server alone; pods go on
#   hack/cluster.sh list                             the clusters of this machine
#
# --name NAME after the subcommand, or TIELINE_CLUSTER, chooses one of several clusters (default: default).
# Nothing is built: programs come from --bin, TIELINE_BIN or .build/release, and become images (hack/images/node.sh). Needs root.
# Everything of a cluster is under ${TMPDIR:-/tmp}/tieline-cluster-NAME; its containers' cgroups are called tieline-cluster-NAME.ID.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "cluster.sh: $*" >&2
  exit 1
}

usage() {
  sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e '/^set -euo/d' -e 's/^# \{0,1\}//' >&2
  exit 2
}

# A process is recorded as its number and its start time, so that another one with the same number is left alone.
start_time() { # start_time PID
  local line
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  line=${line##*) }
  set -- $line
  [ "$1" != Z ] && echo "${20}"
}

record() { # record PID FILE
  local started
  started=$(start_time "$1") && echo "$1 $started" >"$2"
}

alive() { # alive FILE: prints the recorded process while it runs
  local pid started
  read -r pid started 2>/dev/null <"$1" || return 1
  [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

end() { # end FILE: kills the recorded process and waits until it is gone
  local pid
  for _ in $(seq 500); do
    pid=$(alive "$1") || return 0
    kill -KILL "$pid" 2>/dev/null || true
    sleep 0.02
  done
  fail "process $pid of $1 does not end"
}

need_root() { [ "$(id -u)" = 0 ] || fail "needs root: network namespaces, mounts and nftables"; }

need_cluster() {
  node=$(alive "$state/devnode.process") || fail "no cluster \"$name\" is running: hack/cluster.sh up --name $name"
}

find_programs() {
  bin=${bin:-$root/.build/release}
  [ -x "$bin/devnode" ] || fail "no devnode in $bin: hack/build.sh"
  bin=$(cd "$bin" && pwd -P)
}

# What follows from the families; the addresses are those of hack/devnode-core/ClusterFamily.swift.
service_ranges() {
  case $1 in
    ipv4) echo 10.96.0.0/12 ;;
    ipv6) echo fd00:10:96::/112 ;;
    dual) echo 10.96.0.0/12,fd00:10:96::/112 ;;
  esac
}
resolver_address() { case $1 in ipv6) echo fd00:10:96::a ;; *) echo 10.96.0.10 ;; esac; }

start_api_server() {
  "$root/hack/apiserver/run.sh" "$state/apiserver" --service-cluster-ip-range "$(service_ranges "$(cat "$state/families")")" \
    --service-network "$state/service-network" >/dev/null
  record "$(cat "$state/apiserver/pid")" "$state/apiserver.process"
  record "$(cat "$state/apiserver/etcd.pid")" "$state/etcd.process"
}

stop_api_server() {
  # At once: asked politely, the server keeps open watches for a minute. etcd ends with it.
  end "$state/apiserver.process"
  for _ in $(seq 150); do
    alive "$state/etcd.process" >/dev/null || return 0
    sleep 0.02
  done
  end "$state/etcd.process"
}

start_node() {
  ulimit -n "$(ulimit -Hn)"
  # The shell inside is the init process of the new PID namespace. It still sees the host's /proc, so it can
  # record its number outside, and becomes devnode. Whatever ends devnode, or unshare, ends all of it.
  setsid unshare --pid --fork --kill-child=SIGKILL --mount sh -c '
    read -r pid rest </proc/self/stat
    rest=${rest##*) }
    set -f
    state=$1
    shift
    words=$*
    started=$(echo "$rest" | cut -d" " -f20)
    echo "$pid $started" >"$state/devnode.process"
    mount -t proc proc /proc
    exec "$@"
  ' sh "$state" "$bin/devnode" --cluster "$name" --kubeconfig "$state/apiserver/kubeconfig" --state "$state" \
    --families "$families" --proxy-delay "$delay" </dev/null >"$state/devnode.log" 2>&1 &
  record $! "$state/unshare.process"
}

up() {
  need_root
  find_programs
  if [ -e "$state" ]; then
    alive "$state/devnode.process" >/dev/null && fail "cluster \"$name\" is running already"
    down
  fi
  mkdir -p "$state/exec"
  echo "$families" >"$state/families"
  trap not_up EXIT
  trap 'exit 1' INT TERM HUP
  "$root/hack/images/node.sh" "$bin" "$state"
  start_api_server
  start_node
  for _ in $(seq 1500); do
    [ ! -e "$state/network" ] || break
    alive "$state/unshare.process" >/dev/null || { tail -5 "$state/devnode.log" >&2; false; }
    sleep 0.02
  done
  [ -e "$state/network" ] || { tail -5 "$state/devnode.log" >&2; false; }
  # From there the API server calls webhooks.
  printf '/proc/%s/fd/%s' "$(cut -d' ' -f1 "$state/devnode.process")" "$(cat "$state/network")" >"$state/service-network"
  cat >"$state/resolv.conf" <<END
nameserver $(resolver_address "$families")
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
END
  trap - EXIT INT TERM HUP
  echo "cluster \"$name\" is up; eval \"\$(hack/cluster.sh env --name $name)\"" >&2
}

not_up() { # whatever ended `up`: nothing is left
  trap - EXIT
  trap '' INT TERM HUP
  down
  fail "cluster \"$name\" did not start"
}

down() {
  need_root
  [ -e "$state" ] || return 0
  local file
  for file in "$state"/exec/*; do
    [ ! -e "$file" ] || end "$file"
  done
  # devnode is the init process of its PID namespace: all containers end with it, and its mounts.
  [ ! -e "$state/devnode.process" ] || end "$state/devnode.process"
  [ ! -e "$state/unshare.process" ] || end "$state/unshare.process"
  remove_cgroups
  # A start that was cut off left numbers that were not recorded yet.
  for file in apiserver etcd; do
    local written=$state/apiserver/$([ $file = etcd ] && echo etcd.pid || echo pid)
    [ -e "$state/$file.process" ] || [ ! -e "$written" ] || record_own "$(cat "$written")" "$state/$file.process"
    [ ! -e "$state/$file.process" ] || end "$state/$file.process"
  done
  rm -rf "$state"
}

remove_cgroups() { # what devnode could not remove any more; the kernel may need a moment to take the ended processes out
  local left
  for _ in $(seq 500); do
    left=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "tieline-cluster-$name.*")
    [ -n "$left" ] || return 0
    xargs -r rmdir 2>/dev/null <<<"$left" || sleep 0.02
  done
  fail "these cgroups do not go: $left"
}

record_own() { # record_own PID FILE: only if the process works in this state folder
  if tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qF "$state/"; then record "$1" "$2"; fi
}

print_env() {
  need_cluster
  local kubectl
  kubectl=$("$root/hack/kubectl.sh") || true
  [ -z "$kubectl" ] || echo "export PATH='$kubectl:$PATH'"
  echo "export KUBECONFIG='$state/apiserver/kubeconfig'"
  echo "export TIELINE_CLUSTER='$name'"
}

run_inside() {
  need_root
  need_cluster
  local folder=$state resolver=$state/resolv.conf pid
  if [ -n "$pod" ]; then
    folder=$state/pods/$pod
    [ -e "$folder/network" ] || fail "no pod $pod runs in cluster \"$name\""
  fi
  [ $# -gt 0 ] || usage
  # Recorded, so that `down` ends what was left running.
  local file
  for file in "$state"/exec/*; do
    [ -d "/proc/${file##*/}" ] || rm -f "$file"
  done
  record $$ "$state/exec/$$"
  if [ -n "$container" ]; then
    pid=$(host_pid "$pod" "$container")
    # Entering the PID namespace takes a fork, so the death signal is asked for on both sides.
    exec setpriv --pdeathsig KILL nsenter --target "$pid" --mount --net --uts --pid -- \
      setpriv --pdeathsig KILL "$@"
  fi
  if [ -n "$pod" ]; then
    resolver=$state/resolv.conf.${pod%%/*}
    [ -e "$resolver" ] || sed "s/search default/search ${pod%%/*}/" "$state/resolv.conf" >"$resolver"
  fi
  exec setpriv --pdeathsig KILL nsenter --net="/proc/$node/fd/$(cat "$folder/network")" unshare --mount sh -c '
    mount --bind "$1" /etc/resolv.conf
    shift
    exec "$@"
  ' sh "$resolver" "$@"
}

host_pid() { # host_pid NAMESPACE/POD [CONTAINER]
  local folder=$state/pods/$1 container=${2:-} inner child line
  [ -e "$folder/main" ] || fail "no pod $1 runs in cluster \"$name\""
  [ -n "$container" ] || container=$(cat "$folder/main")
  inner=$(cat "$folder/$container.pid" 2>/dev/null) || fail "no container $container of $1 is running"
  for child in $(cat /proc/"$node"/task/*/children); do
    line=$(grep -s ^NSpid: "/proc/$child/status") || continue
    set -- $line
    if [ "${3:-}" = "$inner" ]; then
      echo "$child"
      return
    fi
  done
  fail "container $container of $1 is gone"
}

print_logs() {
  [ -d "$state" ] || fail "no cluster \"$name\""
  local pattern=${1:-*/*} container=${2:-*} file
  for file in "$state"/logs/$pattern/$container.log; do
    [ -e "$file" ] || continue
    [ $# = 2 ] || echo "==> ${file#"$state"/logs/} <=="
    tail -n "$tail" "$file"
  done
}

list() {
  local folder
  for folder in "${TMPDIR:-/tmp}"/tieline-cluster-*; do
    [ -d "$folder" ] || continue
    echo "${folder##*/tieline-cluster-} $(alive "$folder/devnode.process" >/dev/null && echo running || echo dead)"
  done
}

[ $# -gt 0 ] || usage
command=$1
shift
name=${TIELINE_CLUSTER:-default} bin=${TIELINE_BIN:-} families=ipv4 delay=300 pod= container= tail=+1
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage ;;
    --) shift && break ;;
    --*) [ $# -ge 2 ] || fail "$1 needs a value" ;;
  esac
  case $1 in
    --name) name=$2 ;;
    --families)
      families=$2
      [ -n "$(service_ranges "$families")" ] || fail "--families is ipv4, ipv6 or dual"
      ;;
    --bin) bin=$2 ;;
    --proxy-delay) delay=$2 ;;
    --pod) pod=$2 ;;
    --container | -c) container=$2 ;;
    --tail) tail=$2 ;;
    -*) fail "unknown option $1" ;;
    *) break ;;
  esac
  shift 2
done
case $name in *[!a-z0-9-]* | '') fail "the name of a cluster is made of a-z, 0-9 and -" ;; esac
state=${TMPDIR:-/tmp}/tieline-cluster-$name

case $command in
  up) up ;;
  down) down ;;
  env) print_env ;;
  exec) run_inside "$@" ;;
  logs) print_logs "$@" ;;
  pid)
    need_cluster
    [ $# -gt 0 ] || usage
    host_pid "$@"
    ;;
  apiserver)
    need_root
    need_cluster
    case ${1:-} in
      stop) stop_api_server ;;
      start) start_api_server ;;
      *) usage ;;
    esac
    ;;
  list) list ;;
  *) usage ;;
esac
