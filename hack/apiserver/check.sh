#!/bin/bash
# Shows, on a fresh cluster, that the test API server refuses what Kubernetes refuses, and that a restart loses nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kubectl=$("$here/../kubectl.sh")
PATH=${kubectl:+$kubectl:}$PATH
state=$(mktemp -d)
stop() { "$here/stop.sh" "$state"; }
trap 'stop || true; rm -rf "$state"' EXIT
"$here/run.sh" "$state" >/dev/null
export KUBECONFIG=$state/kubeconfig
passed=0 failed=0

# expect SENTENCE REGEX COMMAND...: the command's output, both streams, matches.
expect() {
  local output
  output=$("${@:3}" 2>&1) || true
  if grep -qE -- "$2" <<<"$output"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n  wanted: %s\n  got: %s\n' "$1" "$2" "$output" >&2
  fi
}
# create OBJECT SENTENCE REGEX [kubectl flags]; the separator tells kubectl that flow style is YAML, not JSON.
create() { expect "$2" "$3" kubectl create "${@:4}" -f <(printf -- '---\n%s\n' "$1"); }
# until_true COMMAND...: tries for 10 s.
until_true() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never true: $*" >&2; return 1; }
service() { echo "{apiVersion: v1, kind: Service, metadata: {name: $1}, spec: {$2}}"; }
slice() { echo "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: $1}, addressType: IPv4, endpoints: [{addresses: ['$2']}], ports: [{port: 80}]}"; }
deployment() { echo "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $1}, spec: {selector: {matchLabels: {app: $2}}, template: {metadata: {labels: {app: $3}}, spec: {$4}}}}"; }
pod() { echo "{apiVersion: v1, kind: Pod, metadata: {name: $1}, spec: {$2}}"; }
role() { echo "{apiVersion: rbac.authorization.k8s.io/v1, kind: $1, metadata: {name: $2}, rules: [{apiGroups: [''], resources: [$3], verbs: [$4]}]}"; }
binding() { echo "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: $1}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $2}, subjects: [{kind: ServiceAccount, name: x, namespace: default}]}"; }
until_true kubectl get serviceaccount default

# Names, Services and their addresses
expect "a namespace is a DNS label" "Invalid value.*DNS label|RFC 1123 label" kubectl create namespace Bad_Name
expect "the Service of the API has the first address" "^10\.96\.0\.1$" kubectl get service kubernetes -o 'jsonpath={.spec.clusterIP}'
create "$(service 1st "ports: [{port: 80}]")" "a Service name begins with a letter" "DNS-1035"
create "$(service s "ports: []")" "a Service has ports" "spec.ports: Required"
create "$(service s "ports: [{port: 0}]")" "port 0 is refused" "between 1 and 65535"
create "$(service s "ports: [{port: 1}, {port: 2}]")" "several ports have names" "ports\[0\].name: Required"
create "$(service s "ports: [{name: a, port: 1}, {name: a, port: 2}]")" "port names differ" "Duplicate value: \"a\""
create "$(service s "ports: [{port: 1, targetPort: Bad_Name}]")" "a target port is a port name" "targetPort: Invalid"
create "$(service s "clusterIP: 10.96.0.1, ports: [{port: 1}]")" "an address in use is refused" "already allocated"
create "$(service s "clusterIP: 192.0.2.1, ports: [{port: 1}]")" "an address out of the range is refused" "current range 10.96.0.0/12"
create "$(service s "ports: [{port: 1}]")" "a Service gets an address" "created"
expect "it is in the range" "^10\.(9[6-9]|10[0-9]|11[01])\." kubectl get service s -o 'jsonpath={.spec.clusterIP}'
expect "it is immutable" "field is immutable" kubectl patch service s -p '{"spec": {"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"]}}'
expect "a Service becomes a NodePort" "patched" kubectl patch service s -p '{"spec": {"type": "NodePort"}}'
expect "its node port is in the range" "^3[0-2][0-9]{3}$" kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}'
create "$(service t "type: NodePort, ports: [{port: 1, nodePort: $(kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}')}]")" "a node port in use is refused" "already allocated"
create "$(service t "type: NodePort, ports: [{port: 1, nodePort: 80}]")" "a node port out of the range is refused" "30000-32767"
expect "a Service becomes a ClusterIP again" "patched" kubectl patch service s -p '{"spec": {"type": "ClusterIP"}}'
expect "its node port is gone" "^$" kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}'
create "$(service h "clusterIP: None, ports: [{port: 80, targetPort: 8080}]")" "a headless Service may have another target port" "created"

# Endpoints
for address in 127.0.0.1 169.254.1.1 0.0.0.0 224.0.0.1 10.0.0.256 ::1; do
  create "$(slice e $address)" "an EndpointSlice with $address is refused" "addresses\[0\]: Invalid value"
done
create "$(slice e 10.244.0.5)" "an EndpointSlice of a Pod's address is accepted" "created"
expect "its address type is immutable" "addressType: Invalid value.*immutable" kubectl patch endpointslice e --type merge -p '{"addressType": "IPv6", "endpoints": []}'
create "{apiVersion: v1, kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [{ip: 127.0.0.1}], ports: [{port: 1}]}]}" "Endpoints on loopback are refused" "loopback"

# Workloads
image="containers: [{name: c, image: 'x:1'}]"
create "$(deployment d a b "$image")" "a Deployment selects its own Pods" "does not match template"
create "$(deployment d a a "containers: []")" "a template has containers" "containers: Required"
create "$(deployment d a a "containers: [{name: c}]")" "a container has an image" "image: Required"
create "$(deployment d a a "containers: [{name: c, image: 'x:1', volumeMounts: [{name: v, mountPath: /v}]}]")" "a mount has a volume" "Not found: \"v\""
create "$(deployment d a a "volumes: [{name: v, secret: {}}], $image")" "a Secret volume names its Secret" "secretName: Required"
create "$(deployment d a a "topologySpreadConstraints: [{maxSkew: 1, topologyKey: k}], $image")" "a spread constraint is complete" "whenUnsatisfiable: Required"
create "$(deployment d a a "restartPolicy: Never, $image")" "a Deployment restarts" "restartPolicy: Unsupported"
create "$(deployment d a a "initContainers: [{name: s, image: 'x:1', readinessProbe: {httpGet: {port: 1}}}], $image")" "a probe needs a sidecar" "Forbidden"
create "$(deployment d a a "initContainers: [{name: s, image: 'x:1', restartPolicy: Always, readinessProbe: {httpGet: {port: 1}}}], $image")" "a native sidecar is accepted" "created"
expect "the selector is immutable" "selector: Invalid value.*immutable" kubectl patch deployment d --type merge \
  -p '{"spec": {"selector": {"matchLabels": {"app": "z"}}, "template": {"metadata": {"labels": {"app": "z"}}}}}'
create "$(pod p "serviceAccountName: nobody, $image")" "a Pod's service account exists" "serviceaccount.*not found"
create "$(pod p "$image")" "a Pod is accepted" "created"
expect "a Pod hardly changes" "pod updates may not change" kubectl patch pod p -p '{"spec": {"hostNetwork": true}}'

# Secrets and Events
expect "a Secret is created" "created" kubectl create secret generic k --from-literal=a=b
expect "its type is immutable" "type: Invalid value.*immutable" kubectl patch secret k -p '{"type": "example.com/x"}'
create "{apiVersion: v1, kind: Secret, metadata: {name: t}, type: kubernetes.io/tls, stringData: {tls.crt: x}}" "a TLS Secret has both parts" "data\[tls.key\]: Required"
create "{apiVersion: events.k8s.io/v1, kind: Event, metadata: {name: e}, eventTime: '2026-01-01T00:00:00.000000Z', reason: R, type: Normal, reportingController: example.com/c, reportingInstance: i, regarding: {kind: Pod, name: p, namespace: default}}" "an Event says who, what and why" "action: Required"

# RBAC: nobody gives away what he does not have
kubectl create serviceaccount x >/dev/null
kubectl create clusterrole author --verb=create,update,patch,get --resource=roles,rolebindings,clusterroles >/dev/null
kubectl create clusterrole reader --verb=get,list --resource=configmaps >/dev/null
kubectl create clusterrole powerful --verb='*' --resource=secrets >/dev/null
for name in author reader; do kubectl create rolebinding $name --clusterrole=$name --serviceaccount=default:x >/dev/null; done
as=--as=system:serviceaccount:default:x
until_true kubectl auth can-i get configmaps $as
create "$(role Role r configmaps get)" "a role may hold what its author holds" "created" $as
create "$(role Role q secrets get)" "a role with more is refused" "not currently held" $as
expect "nor may a role be widened" "not currently held" kubectl patch role r $as --type json -p '[{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]'
create "$(binding b reader)" "a binding may grant what its author holds" "created" $as
create "$(binding c powerful)" "a binding that grants more is refused" "not currently held" $as
create "$(binding c missing)" "a binding to no role is refused" "not found" $as
kubectl create clusterrole binder --verb=bind --resource=clusterroles --resource-name=powerful >/dev/null
kubectl create rolebinding binder --clusterrole=binder --serviceaccount=default:x >/dev/null
until_true kubectl auth can-i bind clusterroles/powerful $as
create "$(binding c powerful)" "with bind on that role it is accepted" "created" $as
kubectl create clusterrole part --verb=get --resource=leases.coordination.k8s.io >/dev/null
kubectl label clusterrole part rbac.authorization.k8s.io/aggregate-to-view=true >/dev/null
expect "roles are aggregated" "met" kubectl wait --for 'jsonpath={.rules[0].resources[0]}=leases' clusterrole/view --timeout=10s

# A restart keeps port, data and tokens; a stop ends open watches at once
token=$(kubectl create token x) port=$(cat "$state/port")
kubectl get pods -w >"$state/watch" 2>&1 &
watch=$!
until_true test -s "$state/watch"
began=$(date +%s)
stop
[ $(($(date +%s) - began)) -le 5 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAILED: stopping took more than 5 s" >&2; }
kill $watch 2>/dev/null || true
"$here/run.sh" "$state" >/dev/null
expect "the port is kept" "^$port$" cat "$state/port"
expect "the data are kept" "p +.*Pending" kubectl get pods
expect "tokens are kept" "system:serviceaccount:default:x" kubectl --kubeconfig /dev/null --server "https://127.0.0.1:$port" \
  --certificate-authority "$state/pki/ca.crt" --token "$token" auth whoami
create "$(service u "clusterIP: $(kubectl get service s -o 'jsonpath={.spec.clusterIP}'), ports: [{port: 1}]")" "addresses are remembered" "already allocated"
kubectl delete serviceaccount x >/dev/null

echo "hack/apiserver/check.sh: $passed passed, $failed failed"
[ $failed = 0 ]
