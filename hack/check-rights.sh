#!/usr/bin/env bash
# Shows, on a real API server, what a stolen token of the controller or of a gateway can do (K9): tokens of the very
# ServiceAccounts that manifests/ install try what the controller does, which works, and what it must not do, which is
# refused, by roles or by manifests/admission.
cd "$(dirname "$0")/.."
source hack/checks.sh

kubectl apply -k manifests >/dev/null
hack/apiserver/served.sh {sites,links,services}.tieline.dev
for namespace in sample bare consenting; do kubectl create namespace $namespace >/dev/null; done
kubectl label namespace consenting tieline.dev/allow-from=sample >/dev/null
kubectl apply -f - >/dev/null <<'YAML'
---
{apiVersion: tieline.dev/v1alpha1, kind: Site, metadata: {name: sample, namespace: sample}, spec: {linkAccess: {type: ClusterIP}}}
---
{apiVersion: tieline.dev/v1alpha1, kind: Service, metadata: {name: web, namespace: sample, finalizers: [example.com/other]}, spec: {ports: [{name: http, port: 80}], listen: {namespaces: {}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: foreign, namespace: sample}, spec: {ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: foreign, namespace: consenting}, addressType: IPv4, endpoints: [], ports: []}
---
{apiVersion: v1, kind: Secret, metadata: {name: foreign, namespace: sample}, stringData: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: tieline-identity, namespace: sample}, stringData: {a: b}}
YAML

# as ACCOUNT NAMESPACE: kubectl with a token of that account and nothing else.
as() {
  local token server
  token=$(kubectl create token -n "$2" "$1") server=$(kubectl config view -o 'jsonpath={.clusters[0].cluster.server}')
  kubectl config --kubeconfig "$state/$1" set-cluster c --server "$server" --certificate-authority "$state/pki/ca.crt" >/dev/null
  kubectl config --kubeconfig "$state/$1" set-credentials u --token "$token" >/dev/null
  kubectl config --kubeconfig "$state/$1" set-context x --cluster c --user u >/dev/null
  kubectl config --kubeconfig "$state/$1" use-context x >/dev/null
}
as tieline-controller tieline-system
stolen() { kubectl --kubeconfig "$state/tieline-controller" "$@"; }
# write SENTENCE REGEX OBJECT (in flow style): what a server-side apply by the token gets to hear. Nothing that is refused is stored.
put() { stolen apply --server-side --force-conflicts --field-manager=tieline-controller -f <(printf -- '---\n%s\n' "$1"); }
write() { expect "$1" "$2" put "$3"; }
# make SENTENCE REGEX OBJECT: the same of a create, for names that the token's roles let it create but not change.
make() { expect "$1" "$2" stolen create -f <(printf -- '---\n%s\n' "$3"); }
uid() { kubectl get "$@" -o 'jsonpath={.metadata.uid}'; }
site="ownerReferences: [{apiVersion: tieline.dev/v1alpha1, kind: Site, name: sample, uid: $(uid tsite sample -n sample), controller: true, blockOwnerDeletion: true}]"
web="ownerReferences: [{apiVersion: tieline.dev/v1alpha1, kind: Service, name: web, uid: $(uid tsvc web -n sample), controller: true, blockOwnerDeletion: true}]"
ours="labels: {app.kubernetes.io/managed-by: tieline}"
exposed="labels: {app.kubernetes.io/managed-by: tieline, tieline.dev/owner-uid: $(uid tsvc web -n sample)}"
binding() { # binding NAMESPACE ROLE SUBJECT-NAMESPACE SUBJECT [OWNER]
  echo "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: tieline-proxy, namespace: $1, $ours, ${5-$site}}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $2}, subjects: [{kind: ServiceAccount, name: $4, namespace: $3}]}"
}
controller_binding() { binding "$1" tieline-controller-site tieline-system tieline-controller | sed 's/name: tieline-proxy,/name: tieline-controller-site,/'; }
secret() { echo "{apiVersion: v1, kind: Secret, metadata: {name: $2, namespace: $1, $ours, $site}, type: ${3:-Opaque}, stringData: {a: b}}"; }
account() { echo "{apiVersion: v1, kind: ServiceAccount, metadata: {name: $2, namespace: $1, $ours, $site, annotations: {${3:-}}}, automountServiceAccountToken: false${4:-}}"; }
deployment() { # deployment NAMESPACE NAME [POD-FIELDS] [CONTAINER-FIELDS] [MORE-CONTAINERS]
  echo "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $2, namespace: $1, $ours, $site}, spec: {selector: {matchLabels: {app: g}}, template: {metadata: {labels: {app: g}}, spec: {serviceAccountName: tieline-proxy, securityContext: {runAsNonRoot: true}, ${3:+$3,} containers: [{name: proxy, image: p, securityContext: {allowPrivilegeEscalation: false}${4:+, $4}}${5:+, $5}]}}}}"
}
budget() { # budget NAMESPACE NAME [OWNER] [SPEC]
  echo "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: $2, namespace: $1, $ours, ${3-$site}}, spec: {${4:-maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/name: tieline-proxy}}}}}"
}
service() { echo "{apiVersion: v1, kind: Service, metadata: {name: $2, namespace: $1, $3}, spec: {ports: [{name: http, port: 80}]${4:+, $4}}}"; }
slice() { echo "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: $2, namespace: $1, $3}, addressType: IPv4, endpoints: [], ports: []}"; }
without() { echo "${2/"$1"/}"; } # without PART OBJECT
no="denied request: the controller of Tieline"

# --- What the controller does
# In force, the policies refuse this for want of a Site; accepting what follows alone would also be what no policy does.
wants_a_site() { [[ "$(stolen apply --server-side --dry-run=server --field-manager=tieline-controller -f <(printf -- '---\n%s\n' "$1") 2>&1 || true)" == *"no params found"* ]]; }
until_true wants_a_site "$(service bare web "$ours, $web")"
until_true wants_a_site "$(binding bare tieline-proxy bare tieline-proxy)"
until_true put "$(controller_binding sample)"
for _ in 1 2; do # made, and written again; the server's authorizer follows the binding by a watch
  until_true kubectl auth can-i create secrets -n sample --as=system:serviceaccount:tieline-system:tieline-controller
  write "it binds itself where a Site is" "serverside-applied" "$(controller_binding sample)"
  write "it binds the gateways" "serverside-applied" "$(binding sample tieline-proxy sample tieline-proxy)"
  for name in tieline-site-ca tieline-grants tieline-proxy tieline-proxy-credentials tieline-sidecar tieline-proxy-part-00 tieline-proxy-part-63; do write "it writes the Secret $name" "serverside-applied" "$(secret sample $name)"; done
  write "it writes the gateways' account" "serverside-applied" "$(account sample tieline-proxy)"
  write "it writes the gateways" "serverside-applied" "$(deployment sample tieline-proxy "volumes: [{name: c, secret: {secretName: tieline-proxy}}, {name: s, emptyDir: {medium: Memory}}]" "env: [{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]")"
  write "it writes their disruption budget" "serverside-applied" "$(budget sample tieline-proxy)"
  write "it writes the core Services of a Site" "serverside-applied" "$(service sample tieline-link "$ours, $site" "type: LoadBalancer")"
  write "and of a Service" "serverside-applied" "$(service sample web "$ours, $web")"
  write "it exposes a Service where a namespace consents" "serverside-applied" "$(service consenting web "$exposed")"
  write "with its endpoints" "serverside-applied" "$(slice consenting web-tl-00000000-ipv4 "$exposed")"
done
certificate="{apiVersion: v1, kind: Secret, metadata: {name: tieline-webhook, namespace: tieline-system, $ours}, type: Opaque, stringData: {a: b}}"
for _ in 1 2; do write "it writes the webhook's certificate" "serverside-applied" "$certificate"; done
expect "and watches it" "^tieline-webhook " stolen get secrets -n tieline-system --field-selector metadata.name=tieline-webhook --no-headers
webhook() { stolen patch mutatingwebhookconfiguration tieline-webhook --type json -p "[{\"op\": \"add\", \"path\": \"$1\", \"value\": $2}]"; }
expect "it says who signed that" "patched" webhook /webhooks/0/clientConfig/caBundle "\"$(base64 -w0 "$state/pki/ca.crt")\""
expect "it reads a CA that somebody brought" "secret/tieline-identity" stolen get secret tieline-identity -n sample -o name
write "and does not write it" "orbidden" "$(secret sample tieline-identity)"
finalizers() { stolen patch tsvc web -n sample --type merge -p "{\"metadata\": {\"finalizers\": $1}}"; }
expect "it sets its finalizer" "patched" finalizers '["example.com/other", "tieline.dev/exposure"]'
expect "and takes it off" "patched" finalizers '["example.com/other"]'

for name in tieline-site-ca tieline-proxy tieline-proxy-credentials tieline-sidecar; do
  expect "K16: it watches the Secret $name" "^$name " stolen get secrets -n sample --field-selector metadata.name=$name --no-headers
done
for what in rolebindings serviceaccounts poddisruptionbudgets; do expect "K16: it watches $what" "tieline-proxy" stolen get $what -A -l app.kubernetes.io/managed-by=tieline --no-headers; done

# --- Where no Site is
for namespace in bare kube-system tieline-system; do
  make "K9: no rights in $namespace" "needs-a-site.*no params found" "$(controller_binding $namespace | sed 's/name: tieline-controller-site,/name: tieline-x,/')"
  write "K9: no gateways' rights in $namespace" "needs-a-site.*no params found" "$(binding $namespace tieline-proxy $namespace tieline-proxy)"
  write "K9: no core Service in $namespace" "needs-a-site.*no params found" "$(service $namespace web "$ours, $web")"
  write "K9: no exposure in $namespace" "lets no Service of Tieline be exposed" "$(service $namespace web "$exposed")"
  write "K9: no endpoints in $namespace" "lets no Service of Tieline be exposed" "$(slice $namespace web-tl-00000000-ipv4 "$exposed")"
  for object in "$(secret $namespace tieline-proxy)" "$(account $namespace tieline-proxy)" "$(deployment $namespace tieline-proxy)" "$(budget $namespace tieline-proxy)"; do
    write "K9: nothing else in $namespace" "forbidden" "$object"
  done
done

# --- Where one is
write "K9: no cluster-admin" "forbidden.*(not currently held|$no binds)" "$(binding sample cluster-admin sample tieline-proxy)"
make "K9: its part in a Site's namespace is for nobody else" "$no binds" "$(binding sample tieline-controller-site sample default | sed 's/name: tieline-proxy,/name: tieline-x,/')"
write "K9: the gateways' rights are for nobody else" "$no binds" "$(binding sample tieline-proxy bare tieline-proxy)"
make "K9: a binding belongs to a Site" "belongs to a Site" "$(binding sample tieline-proxy sample tieline-proxy "" | sed 's/name: tieline-proxy,/name: tieline-x,/')"
make "K9: a binding has a name of ours" "no RoleBinding but its own" "$(binding sample tieline-proxy sample tieline-proxy | sed 's/name: tieline-proxy,/name: other,/')"
make "K9: no other Secret" "$no writes no Secret but its own" "$(secret sample other)"
make "K9: no token by a Secret" "is Opaque or kubernetes.io/tls" "$(secret sample tieline-sidecar-x kubernetes.io/service-account-token | sed 's/managed-by: tieline}/managed-by: tieline}, annotations: {kubernetes.io\/service-account.name: default}/')"
make "K9: no other account" "no ServiceAccount but tieline-proxy" "$(account sample other)"
write "K9: no rights in a cloud" "no annotation of a ServiceAccount" "$(account sample tieline-proxy "eks.amazonaws.com/role-arn: x")"
write "K9: no Secrets for the account" "gives a ServiceAccount no Secrets" "$(account sample tieline-proxy "" ", secrets: [{name: foreign}]")"
make "K9: no other budget" "no PodDisruptionBudget but tieline-proxy" "$(budget sample other)"
write "K9: a budget belongs to a Site" "belongs to a Site" "$(budget sample tieline-proxy "")"
for spec in "maxUnavailable: 0, selector: {matchLabels: {app.kubernetes.io/name: tieline-proxy}}" "maxUnavailable: 1, selector: {}" "minAvailable: 1, selector: {matchLabels: {app.kubernetes.io/name: tieline-proxy}}"; do
  make "K9: no budget that holds $spec" "holds back gateways only|cannot be both set" "$(budget sample tieline-proxy "$site" "$spec")"
done
make "K9: no other Deployment" "no Deployment but tieline-proxy" "$(deployment sample other)"
write "K9: no other account for the gateways" "run as tieline-proxy" "$(deployment sample tieline-proxy | sed 's/serviceAccountName: tieline-proxy/serviceAccountName: default/')"
write "K9: no root" "not as root" "$(deployment sample tieline-proxy | sed 's/runAsNonRoot: true/runAsNonRoot: false/')"
for field in hostNetwork hostPID hostIPC; do write "K9: no $field" "share no namespace of their node" "$(deployment sample tieline-proxy "$field: true")"; done
for volume in "hostPath: {path: /}" "secret: {secretName: foreign}" "secret: {secretName: tieline-site-ca}" "configMap: {name: x}" "projected: {sources: [{serviceAccountToken: {path: t}}]}"; do
  write "K9: no volume $volume" "mount nothing but their own" "$(deployment sample tieline-proxy "volumes: [{name: v, $volume}]")"
done
for field in "envFrom: [{secretRef: {name: foreign}}]" "env: [{name: A, valueFrom: {secretKeyRef: {name: foreign, key: a}}}]" "ports: [{containerPort: 1, hostPort: 1}]"; do
  write "K9: no $field" "one container, without privileges" "$(deployment sample tieline-proxy "" "$field")"
done
write "K9: no second container" "one container, without privileges" "$(deployment sample tieline-proxy "" "" "{name: x, image: x}")"
write "K9: no init container" "one container, without privileges" "$(deployment sample tieline-proxy "initContainers: [{name: x, image: x}]")"
for context in "privileged: true" "capabilities: {add: [NET_RAW]}"; do
  write "K9: no $context" "one container, without privileges|cannot set .allowPrivilegeEscalation." "$(deployment sample tieline-proxy | sed "s/allowPrivilegeEscalation: false/allowPrivilegeEscalation: false, $context/")"
done
kubectl patch deployment tieline-proxy -n sample --type json -p '[{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "helper", "image": "h", "envFrom": [{"secretRef": {"name": "foreign"}}]}}]' >/dev/null
write "what others put into the gateways does not keep the controller from its work" "serverside-applied" "$(deployment sample tieline-proxy "" "args: [x]")"

# --- What is not ours
write "K9: no core Service of others" "leaves the core Services of others alone" "$(service sample foreign "$ours, $site")"
expect "K9: nor may it be deleted" "leaves the core Services of others alone" stolen delete service foreign -n sample
expect "K9: nor that of the API" "leaves the core Services of others alone" stolen delete service kubernetes -n default
write "K9: a core Service has an owner" "belongs to a Site or a Service" "$(service sample mine "$ours")"
write "K9: no external IPs" "without external IPs" "$(service sample web "$ours, $web" "externalIPs: [203.0.113.1]")"
write "K9: no names of others" "without external IPs" "$(service sample named "$ours, $web" "type: ExternalName, externalName: example.com")"
write "K9: no load balancer but for links" "without external IPs" "$(service sample web "$ours, $web" "type: LoadBalancer")"
write "K9: no endpoints of others" "leaves the EndpointSlices of others alone|does not change whose" "$(slice consenting foreign "$exposed")"
write "K9: nor any without an owner" "leaves the EndpointSlices of others alone" "$(slice consenting mine "$ours")"
expect "K9: nor may they be deleted" "leaves the EndpointSlices of others alone" stolen delete endpointslice foreign -n consenting
expect "K9: no other finalizer" "nothing of a Service but the finalizer" finalizers '["example.com/third"]'
expect "K9: nor one more" "nothing of a Service but the finalizer" finalizers '["example.com/other", "example.com/third"]'
make "K9: a binding is labeled as ours" "is labeled" "$(without "$ours, " "$(binding sample tieline-proxy sample tieline-proxy)" | sed 's/name: tieline-proxy,/name: tieline-x,/')"
expect "K9: no spec" "nothing of a Service but the finalizer" stolen patch tsvc web -n sample --type merge -p '{"spec": {"hosts": ["10.0.0.1"]}}'
expect "K9: no annotation" "nothing of a Service but the finalizer" stolen annotate tsvc web -n sample a=b
for change in "/webhooks/0/objectSelector {}" "/webhooks/0/namespaceSelector {}" "/webhooks/0/rules/0/resources [\"*\"]" "/webhooks/0/failurePolicy \"Fail\"" \
  "/webhooks/0/clientConfig/service {\"name\":\"x\",\"namespace\":\"bare\"}" "/webhooks/- {\"name\":\"x.example.com\",\"sideEffects\":\"None\",\"admissionReviewVersions\":[\"v1\"],\"clientConfig\":{\"url\":\"https://x.example.com\"}}"; do
  expect "K9: the webhook is asked nothing else: $change" "and changes nothing else" webhook $change
done
for what in "delete mutatingwebhookconfiguration tieline-webhook" "get mutatingwebhookconfigurations" "get secrets -n tieline-system" "get secret foreign -n tieline-system" "delete secret tieline-webhook -n tieline-system" \
  "delete secret tieline-site-ca -n sample" "delete secret tieline-identity -n sample" "delete secret tieline-grants -n sample" "delete secret tieline-proxy-part-64 -n sample" "get secret tieline-proxy-part-64 -n sample" "get secret foreign -n sample" "get secrets -n sample" "get secret tieline-proxy -n bare" "get secrets -A" "create token default -n sample" \
  "get secrets -n sample --field-selector metadata.name=foreign" "get secrets -n sample -l a=b" "get secrets -n bare --field-selector metadata.name=tieline-proxy" "delete rolebinding x -n kube-system" "delete serviceaccount default -n sample" \
  "delete tsvc web -n sample" "delete tsite sample -n sample" "annotate tsite sample -n sample a=b" "delete deployment tieline-controller -n tieline-system" "delete validatingadmissionpolicy tieline-controller-secrets" \
  "patch clusterrole tieline-controller --type merge -p {}" "label namespace bare tieline.dev/allow-from=sample" "create clusterrolebinding x --clusterrole=cluster-admin --user=x" "delete pod x -n kube-system" "auth can-i --as=admin get pods"; do
  expect "K9: forbidden: $what" "forbidden" stolen $what
done

# --- Others are not meant
expect "people make RoleBindings where no Site is" "created" kubectl create rolebinding x -n bare --clusterrole=view --user=x
expect "and core Services" "created" kubectl create service clusterip x -n bare --tcp=80
expect "and Secrets, Deployments and accounts" "created.*created.*created" sh -c "kubectl create secret generic x -n bare; kubectl create deployment x -n bare --image=x; kubectl create serviceaccount x -n bare"
expect "and a Site's identity, before the Site" "created" kubectl create -f <(printf -- '---\n%s\n' "$(without ", $site" "$(secret bare tieline-site-ca)")")
expect "no policy has an expression that does not fit its kinds" "^$" kubectl get validatingadmissionpolicies -o 'jsonpath={.items[*].status.typeChecking.expressionWarnings}'

# --- A gateway: it reads two Secrets, the parts of its configuration, and the EndpointSlices of its namespace
as tieline-proxy sample
gateway() { kubectl --kubeconfig "$state/tieline-proxy" "$@"; }
until_true gateway get secret tieline-proxy -n sample
for what in "get secret tieline-proxy-credentials -n sample" "get secret tieline-proxy-part-00 -n sample" "get secret tieline-proxy-part-63 -n sample" "get endpointslices -n sample"; do expect "a gateway may: $what" "^(NAME|No resources)" gateway $what; done
for what in "get secret tieline-site-ca -n sample" "get secret tieline-sidecar -n sample" "get secret foreign -n sample" "get secrets -n sample" "get secret tieline-proxy-part-64 -n sample" "delete secret tieline-proxy-part-00 -n sample" "get secret tieline-proxy -n bare" "get endpointslices -n bare" "get endpointslices -A" \
  "get pods -n sample" "get services -n sample" "get tsite -n sample" "get nodes" "get namespaces" "create token tieline-proxy -n sample" "delete secret tieline-proxy -n sample" "delete endpointslice x -n sample" \
  "create configmap x -n sample" "create deployment x --image=x -n sample" "create rolebinding x --clusterrole=tieline-proxy --user=x -n sample" "patch secret tieline-proxy -n sample --type merge -p {}" "auth can-i --as=admin get pods"; do
  expect "K9: forbidden for a gateway: $what" "forbidden" gateway $what
done

finish
