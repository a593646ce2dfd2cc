package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// kind describes one built-in kind; what is nil has upstream's plain behaviour.
type kind struct {
	version    schema.GroupVersion
	resource   string // the plural
	name       string
	short      string // comma separated
	namespaced bool
	inAll      bool // `kubectl get all` lists it
	object     runtime.Object
	list       runtime.Object
	status     bool // has the subresource
	scale      bool
	upserts    bool   // PUT creates what is not there
	columns    string // "Title|JSON path[|type]", semicolon separated; Age is added

	selectable   func(runtime.Object) fields.Set
	validateName validation.ValidateNameFunc   // default: DNS subdomain
	prepare      func(obj, old runtime.Object) // old is nil on creation
	validate     func(ctx context.Context, obj, old runtime.Object) field.ErrorList
}

func (k *kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.version.Group, Resource: k.resource}
}

var (
	coreV1 = corev1.SchemeGroupVersion
	appsV1 = appsv1.SchemeGroupVersion
	rbacV1 = rbacv1.SchemeGroupVersion

	admissionV1 = admissionv1.SchemeGroupVersion
)

var kinds = []kind{
	{version: coreV1, resource: "namespaces", name: "Namespace", short: "ns", object: &corev1.Namespace{}, list: &corev1.NamespaceList{}, status: true,
		columns: "Status|.status.phase", validateName: validation.ValidateNamespaceName, prepare: prepareNamespace, selectable: namespaceFields},
	{version: coreV1, resource: "nodes", name: "Node", short: "no", object: &corev1.Node{}, list: &corev1.NodeList{}, status: true,
		columns: `Ready|.status.conditions[?(@.type=="Ready")].status`},
	{version: coreV1, resource: "pods", name: "Pod", short: "po", namespaced: true, inAll: true, object: &corev1.Pod{}, list: &corev1.PodList{}, status: true,
		columns: `Ready|.status.conditions[?(@.type=="Ready")].status;Status|.status.phase;Restarts|.status.containerStatuses[0].restartCount|integer;IP|.status.podIP`,
		prepare: preparePod, validate: validatePod, selectable: podFields},
	{version: coreV1, resource: "services", name: "Service", short: "svc", namespaced: true, inAll: true, object: &corev1.Service{}, list: &corev1.ServiceList{}, status: true, upserts: true,
		columns:      "Type|.spec.type;Cluster-IP|.spec.clusterIP;External-IP|.status.loadBalancer.ingress[0].ip;Port|.spec.ports[0].port|integer;Node-Port|.spec.ports[0].nodePort|integer",
		validateName: validation.NameIsDNS1035Label, validate: validateService, selectable: serviceFields},
	{version: coreV1, resource: "endpoints", name: "Endpoints", short: "ep", namespaced: true, object: &corev1.Endpoints{}, list: &corev1.EndpointsList{}, upserts: true,
		columns: "Address|.subsets[0].addresses[0].ip", validate: validateEndpoints},
	{version: coreV1, resource: "configmaps", name: "ConfigMap", short: "cm", namespaced: true, object: &corev1.ConfigMap{}, list: &corev1.ConfigMapList{}, validate: validateConfigMap},
	{version: coreV1, resource: "secrets", name: "Secret", namespaced: true, object: &corev1.Secret{}, list: &corev1.SecretList{},
		columns: "Type|.type", prepare: prepareSecret, validate: validateSecret, selectable: secretFields},
	{version: coreV1, resource: "serviceaccounts", name: "ServiceAccount", short: "sa", namespaced: true, object: &corev1.ServiceAccount{}, list: &corev1.ServiceAccountList{}},
	{version: coreV1, resource: "events", name: "Event", short: "ev", namespaced: true, object: &corev1.Event{}, list: &corev1.EventList{}, upserts: true,
		columns:      "Type|.type;Reason|.reason;Object|.involvedObject.name;Message|.message",
		validateName: path.ValidatePathSegmentName, validate: validateEvent, selectable: eventFields},
	{version: eventsv1.SchemeGroupVersion, resource: "events", name: "Event", short: "ev", namespaced: true}, // stored as core events
	{version: appsV1, resource: "deployments", name: "Deployment", short: "deploy", namespaced: true, inAll: true, object: &appsv1.Deployment{}, list: &appsv1.DeploymentList{}, status: true, scale: true,
		columns:  "Desired|.spec.replicas|integer;Ready|.status.readyReplicas|integer;Up-To-Date|.status.updatedReplicas|integer;Available|.status.availableReplicas|integer",
		validate: validateDeployment},
	{version: appsV1, resource: "replicasets", name: "ReplicaSet", short: "rs", namespaced: true, inAll: true, object: &appsv1.ReplicaSet{}, list: &appsv1.ReplicaSetList{}, status: true, scale: true,
		columns: "Desired|.spec.replicas|integer;Current|.status.replicas|integer;Ready|.status.readyReplicas|integer", validate: validateReplicaSet},
	{version: batchv1.SchemeGroupVersion, resource: "jobs", name: "Job", namespaced: true, inAll: true, object: &batchv1.Job{}, list: &batchv1.JobList{}, status: true,
		columns: `Status|.status.conditions[?(@.status=="True")].type;Succeeded|.status.succeeded|integer`, prepare: prepareJob, validate: validateJob},
	{version: coordv1.SchemeGroupVersion, resource: "leases", name: "Lease", namespaced: true, object: &coordv1.Lease{}, list: &coordv1.LeaseList{}, upserts: true,
		columns: "Holder|.spec.holderIdentity", validate: validateLease},
	{version: discoveryv1.SchemeGroupVersion, resource: "endpointslices", name: "EndpointSlice", namespaced: true, object: &discoveryv1.EndpointSlice{}, list: &discoveryv1.EndpointSliceList{},
		columns: "AddressType|.addressType;Port|.ports[0].port|integer;First-Endpoint|.endpoints[0].addresses[0]", validate: validateEndpointSlice},
	{version: networkingv1.SchemeGroupVersion, resource: "networkpolicies", name: "NetworkPolicy", short: "netpol", namespaced: true, object: &networkingv1.NetworkPolicy{}, list: &networkingv1.NetworkPolicyList{}},
	{version: policyv1.SchemeGroupVersion, resource: "poddisruptionbudgets", name: "PodDisruptionBudget", short: "pdb", namespaced: true, object: &policyv1.PodDisruptionBudget{}, list: &policyv1.PodDisruptionBudgetList{}, status: true},
	{version: rbacV1, resource: "roles", name: "Role", namespaced: true, object: &rbacv1.Role{}, list: &rbacv1.RoleList{}, upserts: true,
		validateName: path.ValidatePathSegmentName, validate: validateRole},
	{version: rbacV1, resource: "rolebindings", name: "RoleBinding", namespaced: true, object: &rbacv1.RoleBinding{}, list: &rbacv1.RoleBindingList{}, upserts: true,
		columns: "Role|.roleRef.name", validateName: path.ValidatePathSegmentName, validate: validateBinding},
	{version: rbacV1, resource: "clusterroles", name: "ClusterRole", object: &rbacv1.ClusterRole{}, list: &rbacv1.ClusterRoleList{}, upserts: true,
		validateName: path.ValidatePathSegmentName, validate: validateRole},
	{version: rbacV1, resource: "clusterrolebindings", name: "ClusterRoleBinding", object: &rbacv1.ClusterRoleBinding{}, list: &rbacv1.ClusterRoleBindingList{}, upserts: true,
		columns: "Role|.roleRef.name", validateName: path.ValidatePathSegmentName, validate: validateBinding},
	{version: admissionV1, resource: "validatingadmissionpolicies", name: "ValidatingAdmissionPolicy", object: &admissionv1.ValidatingAdmissionPolicy{}, list: &admissionv1.ValidatingAdmissionPolicyList{}, status: true,
		columns: "ParamKind|.spec.paramKind.kind", validate: validatePolicy},
	{version: admissionV1, resource: "validatingadmissionpolicybindings", name: "ValidatingAdmissionPolicyBinding", object: &admissionv1.ValidatingAdmissionPolicyBinding{}, list: &admissionv1.ValidatingAdmissionPolicyBindingList{},
		columns: "PolicyName|.spec.policyName", validate: validatePolicyBinding},
	{version: admissionV1, resource: "validatingwebhookconfigurations", name: "ValidatingWebhookConfiguration", object: &admissionv1.ValidatingWebhookConfiguration{}, list: &admissionv1.ValidatingWebhookConfigurationList{},
		validate: validateValidatingWebhooks},
	{version: admissionV1, resource: "mutatingwebhookconfigurations", name: "MutatingWebhookConfiguration", object: &admissionv1.MutatingWebhookConfiguration{}, list: &admissionv1.MutatingWebhookConfigurationList{},
		validate: validateMutatingWebhooks},
}

// bodies are kinds that only appear in requests and answers.
var bodies = map[schema.GroupVersion][]runtime.Object{
	autoscalingv1.SchemeGroupVersion: {&autoscalingv1.Scale{}},
	coreV1:                           {&corev1.Binding{}},
	authnv1.SchemeGroupVersion:       {&authnv1.TokenRequest{}, &authnv1.TokenReview{}, &authnv1.SelfSubjectReview{}},
	authzv1.SchemeGroupVersion:       {&authzv1.SubjectAccessReview{}, &authzv1.SelfSubjectAccessReview{}, &authzv1.SelfSubjectRulesReview{}},
}

var (
	scheme = newScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

// newScheme registers the v1 types as the internal version too, so that conversion is the identity.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientscheme.AddToScheme(s))
	unversioned := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, unversioned)
	s.AddUnversionedTypes(unversioned, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	internal := func(v schema.GroupVersion) schema.GroupVersion {
		return schema.GroupVersion{Group: v.Group, Version: runtime.APIVersionInternal}
	}
	for i := range kinds {
		k := &kinds[i]
		object, list := k.object, k.list
		if object == nil { // events.k8s.io: the internal kind is the core one
			object, list = &corev1.Event{}, &corev1.EventList{}
		}
		s.AddKnownTypes(internal(k.version), object, list)
		utilruntime.Must(s.AddConversionFunc(object, object, copyObject))
		labels := map[string]bool{"metadata.name": true, "metadata.namespace": k.namespaced}
		if k.selectable == nil && k.object == nil {
			k.selectable = eventFields
		}
		if k.selectable != nil {
			for label := range k.selectable(object) {
				labels[label] = true
			}
		}
		utilruntime.Must(s.AddFieldLabelConversionFunc(k.version.WithKind(k.name), func(label, value string) (string, string, error) {
			if !labels[label] {
				return "", "", fmt.Errorf("field label not supported: %s", label)
			}
			return label, value, nil
		}))
	}
	for version, objects := range bodies {
		s.AddKnownTypes(internal(version), objects...)
	}
	addEventConversions(s)
	addDefaults(s)
	return s
}

// copyObject is the conversion from a type to itself, which admission asks for.
func copyObject(from, to any, _ conversion.Scope) error {
	gvk := to.(runtime.Object).GetObjectKind().GroupVersionKind()
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
	to.(runtime.Object).GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}

func storageVersions() []schema.GroupVersion {
	versions := []schema.GroupVersion{coreV1}
	for _, k := range kinds {
		if k.object != nil && k.version != versions[len(versions)-1] {
			versions = append(versions, k.version)
		}
	}
	return versions
}

func namespaceFields(o runtime.Object) fields.Set {
	return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
}

func podFields(o runtime.Object) fields.Set {
	p := o.(*corev1.Pod)
	return fields.Set{"spec.nodeName": p.Spec.NodeName, "spec.restartPolicy": string(p.Spec.RestartPolicy),
		"spec.serviceAccountName": p.Spec.ServiceAccountName, "status.phase": string(p.Status.Phase), "status.podIP": p.Status.PodIP}
}

func serviceFields(o runtime.Object) fields.Set {
	s := o.(*corev1.Service).Spec
	return fields.Set{"spec.clusterIP": s.ClusterIP, "spec.type": string(s.Type)}
}

func secretFields(o runtime.Object) fields.Set {
	return fields.Set{"type": string(o.(*corev1.Secret).Type)}
}

func eventFields(o runtime.Object) fields.Set {
	e := o.(*corev1.Event)
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	i := e.InvolvedObject
	return fields.Set{"involvedObject.kind": i.Kind, "involvedObject.namespace": i.Namespace, "involvedObject.name": i.Name,
		"involvedObject.uid": string(i.UID), "involvedObject.apiVersion": i.APIVersion, "involvedObject.resourceVersion": i.ResourceVersion,
		"involvedObject.fieldPath": i.FieldPath, "reason": e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type}
}

func shortNames(k *kind) []string {
	if k.short == "" {
		return nil
	}
	return strings.Split(k.short, ",")
}
