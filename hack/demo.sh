#!/usr/bin/env bash
# The main job on this machine: a real Kubernetes API server, three sites, real servers, and kubectl.
#
#   hack/demo.sh          shows and checks it, cleans up; exits 0 only if everything held
#   hack/demo.sh --keep   leaves the cluster running and prints what to try
set -euo pipefail
cd "$(dirname "$0")/.."
export TIELINE_CLUSTER=demo PATH="$PWD/.build/release:$PATH"
keep=
case ${1:-} in
  --keep) keep=yes ;;
  "") ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "hack/demo.sh makes network namespaces: run it as root" >&2; exit 1; }

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '  $ %s\n' "$*"; "$@" | sed 's/^/    /'; }
die() { echo "NOT AS PROMISED: $*" >&2; exit 1; }
expect() { # expect WHAT COMMAND...: waits at most 60 s for the command to succeed
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "not within 60 s: $what"
    sleep 0.1
  done
}

# patiently WHAT COMMAND...: what may take minutes; every 10 s it says how long the demo has run and how far this is
patiently() {
  local what=$1 log=$work/log
  shift
  "$@" >"$log" 2>&1 &
  local pid=$! next=$((SECONDS + 10))
  while kill -0 $pid 2>/dev/null; do
    sleep 0.2
    [ $SECONDS -ge $next ] || continue
    next=$((SECONDS + 10))
    printf '  %4d s  %s: %s\n' $SECONDS "$what" "$(tail -1 "$log" | cut -c1-80)"
  done
  wait $pid || { cat "$log" >&2; die "this failed: $what ($*)"; }
  printf '  %4d s  %s: done\n' $SECONDS "$what"
}

work=$(mktemp -d) clients=
finish() {
  local code=$?
  exec 3>&- 4<&-
  [ -z "$clients" ] || wait "$clients" || true # they end with their input
  rm -rf "$work"
  if [ $code = 0 ] && [ -n "$keep" ]; then return; fi
  hack/cluster.sh down >/dev/null 2>&1 || true
  [ $code = 0 ] || echo "the demo ended early; hack/demo.sh --keep leaves a good run standing for a look" >&2
}
trap finish EXIT

# Connections of a client at site north, held open: `ask "open 30"` prints who holds how many.
ask() {
  echo "$1" >&3
  local line
  read -r line <&4
  echo "$line"
}
held() { jq -r ".open[\"$2\"] // 0" <<<"$1"; }

say "1. Install, build, and start a cluster (real API server; containers by runc)"
[ -x .build/release/tieline-proxy ] || echo "  A first run builds Tieline and a Kubernetes API server: 5 to 12 minutes. Later runs take half a minute."
patiently "Debian packages" hack/install-deps.sh
kubectl=$(hack/kubectl.sh)
PATH=${kubectl:+$kubectl:}$PATH
patiently "test API server (where none is built, some 4 minutes)" hack/apiserver/build.sh
patiently "Tieline, release build" hack/build.sh
ln -sf tieline .build/release/kubectl-tieline # on the PATH under this name, kubectl finds it
hack/cluster.sh down >/dev/null 2>&1 || true
patiently "test cluster, with the images of this build" hack/cluster.sh up
eval "$(hack/cluster.sh env)"
run kubectl apply --server-side -k manifests
run kubectl rollout status -n tieline-system deployment/tieline-controller --timeout=60s

say "2. Three sites: east and west serve 'web' with nginx, north has the client (with a sidecar)"
run kubectl apply -k manifests/samples/three-sites
for site in east west north; do
  expect "site $site has an identity" sh -c "kubectl get tsite -n $site $site -o jsonpath={.status.siteID} | grep -q ."
done
run kubectl wait --for=condition=Reachable -n east tsite/east --timeout=60s
run kubectl wait --for=condition=Reachable -n west tsite/west --timeout=60s

say "3. Link north to east (cost 1) and to west (cost 20). Nothing in a Link is secret"
north=$(kubectl get tsite -n north north -o jsonpath='{.status.siteID}')
for site in east west; do
  run kubectl patch tsite -n $site $site --type merge -p "{\"spec\":{\"allow\":[{\"siteID\":\"$north\",\"name\":\"north\"}]}}"
done
tieline link generate -n east --cost 1 | tee /dev/stderr 2> >(sed 's/^/    /' >&2) | kubectl apply -n north -f - | sed 's/^/    /'
tieline link generate -n west --cost 20 | kubectl apply -n north -f - | sed 's/^/    /'
run kubectl wait --for=condition=Connected -n north tlink/east tlink/west --timeout=60s
run kubectl wait --for=condition=HasTargets -n north tsvc/web --timeout=60s
run kubectl rollout status -n north deployment/client --timeout=60s
for site in east west; do
  expect "north sees web at $site" sh -c "kubectl get tsvc -n north web -o json |
    jq -e '.status.targets[] | select(.site == \"$site\" and .state == \"Usable\")'"
done

say "4. 60 connections from the client's sidecar: east is 19 connections nearer, so it holds 19 or 20 more"
pod=$(kubectl get pod -n north -l app=client -o jsonpath='{.items[0].metadata.name}')
mkfifo "$work/in" "$work/out"
hack/cluster.sh exec --pod "north/$pod" "$PWD/.build/release/traffic" hold --http --to 127.0.0.1:8080 <"$work/in" >"$work/out" &
clients=$!
exec 3>"$work/in" 4<"$work/out"
seen=$(ask "open 60")
echo "    $seen"
east=$(held "$seen" east) west=$(held "$seen" west)
[ $((east + west)) = 60 ] && [ $((east - west - 19)) -ge -1 ] && [ $((east - west - 19)) -le 1 ] ||
  die "|$east - $west - 19| > 1"

say "5. Make east dear. Open connections stay where they are, new ones go west, within a second"
run kubectl patch tlink -n north east --type merge -p '{"spec":{"cost":1000}}'
expect "appliedCost is 1000" sh -c "kubectl get tlink -n north east -o jsonpath={.status.appliedCost} | grep -qx 1000"
seen=$(ask "open 20")
echo "    $seen"
[ "$(held "$seen" east)" = "$east" ] && [ "$(held "$seen" west)" = $((west + 20)) ] || die "expected 20 more at west, all others kept"
[ "$(jq -c .ended <<<"$seen")" = "{}" ] || die "a connection was dropped"
run kubectl patch tlink -n north east --type merge -p '{"spec":{"cost":1}}'
expect "appliedCost is 1" sh -c "kubectl get tlink -n north east -o jsonpath={.status.appliedCost} | grep -qx 1"
ask "close all" >/dev/null

say "6. 100 new connections a second through the core Service; the server at east is killed after 3 s and comes back"
ip=$(kubectl get service -n north web -o jsonpath='{.spec.clusterIP}')
hack/cluster.sh exec "$PWD/.build/release/traffic" load --http --to "$ip:8080" --rate 100 --seconds 10 >"$work/load" &
load=$!
sleep 3
server=$(kubectl get pod -n east -l app=web -o jsonpath='{.items[0].metadata.name}')
run kill -9 "$(hack/cluster.sh pid "east/$server")"
run kubectl scale -n east deployment/web --replicas=0
wait "$load"
sed 's/^/    /' "$work/load"
# What the server had taken and not answered when it died is cut, as with plain TCP: one or two at 100 a second, mostly none.
jq -e '.endings | add == 1000 and (.done >= 995) and (keys - ["done", "reset", "end"] == [])' "$work/load" >/dev/null ||
  die "a connection failed"
expect "the failover is in status" sh -c "kubectl get tsvc -n north web -o jsonpath={.status.lastFailover.to} | grep -qx west"
run kubectl get tsvc -n north web -o jsonpath='{.status.lastFailover}{"\n"}'
run kubectl scale -n east deployment/web --replicas=1
expect "east is used again" sh -c "kubectl get tsvc -n north web -o jsonpath={.status.activeSites} | grep -q east"
hack/cluster.sh exec "$PWD/.build/release/traffic" load --http --to "$ip:8080" --rate 50 --seconds 1 >"$work/load"
sed 's/^/    /' "$work/load"
# 19 connections at once are east's; a busy machine may hold up more for a moment.
jq -e '.endings == {"done": 50} and .servers.east >= 45' "$work/load" >/dev/null || die "expected them at east"
event() { kubectl get events.events.k8s.io -n north -o json | jq -e --arg reason "$1" 'any(.items[]; .reason == $reason)' >/dev/null; }
expect "the Event FailedBack is there" event FailedBack

say "7. What the cluster says of it"
run kubectl get tieline -A
run kubectl tieline status -A
run kubectl get events.events.k8s.io -n north -o custom-columns=REASON:.reason,OBJECT:.regarding.name,NOTE:.note
event FailedOver || die "no Event FailedOver"
[ "$(kubectl get tsvc -n north web -o jsonpath='{.status.connections.failed}')" = 0 ] || die "a connection failed"

say "Everything held."
if [ -n "$keep" ]; then
  cat <<TXT
The cluster is running. Try:
  eval "\$(TIELINE_CLUSTER=demo hack/cluster.sh env)"
  kubectl get tieline -A -w
  kubectl patch tlink -n north west --type merge -p '{"spec":{"cost":5}}'
  kubectl scale -n east deployment/web --replicas=0
  hack/cluster.sh exec curl -s http://$ip:8080/
  TIELINE_CLUSTER=demo hack/cluster.sh down     # the end of it
TXT
fi
