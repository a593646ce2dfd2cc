package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
)

// The few controllers without which requests would be refused that a real cluster accepts.

var (
	all        = []string{"*"}
	everything = []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}
)

// bootstrap makes what every cluster has: namespaces, the Service of the API, the roles of every user.
func bootstrap(ctx context.Context, c kubernetes.Interface, port int) error {
	steps := []func() error{}
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		steps = append(steps, func() error {
			_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: objectMeta(name)}, metav1.CreateOptions{})
			return err
		})
	}
	role := func(name, group string, rules ...rbacv1.PolicyRule) {
		steps = append(steps, func() error {
			_, err := c.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: objectMeta(name), Rules: rules}, metav1.CreateOptions{})
			return err
		}, func() error {
			_, err := c.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: objectMeta(name),
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
				Subjects: []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: group}}}, metav1.CreateOptions{})
			return err
		})
	}
	role("cluster-admin", user.SystemPrivilegedGroup, everything...)
	role("system:discovery", user.AllAuthenticated, rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/api", "/api/*", "/apis",
		"/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}})
	role("system:basic-user", user.AllAuthenticated,
		rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
		rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}})
	for _, name := range []string{"view", "edit", "admin"} {
		steps = append(steps, func() error {
			_, err := c.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: objectMeta(name),
				AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
					{MatchLabels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + name: "true"}}}}}, metav1.CreateOptions{})
			return err
		})
	}
	steps = append(steps, func() error {
		_, err := c.CoreV1().Services("default").Create(ctx, &corev1.Service{ObjectMeta: objectMeta("kubernetes"),
			Spec: corev1.ServiceSpec{ClusterIP: ranges.apiAddresses()[0].String(), Ports: []corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intstr.FromInt(port)}}}}, metav1.CreateOptions{})
		return err
	})
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		for len(steps) > 0 {
			if err := steps[0](); err != nil && !apierrors.IsAlreadyExists(err) {
				fmt.Fprintln(os.Stderr, "bootstrap, will retry:", err)
				return false, nil
			}
			steps = steps[1:]
		}
		return true, nil
	})
}

func objectMeta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

// controllers keep what upstream's controller manager keeps.
type controllers struct {
	kube         kubernetes.Interface
	dyn          dynamic.Interface
	namespaces   corelisters.NamespaceLister
	accounts     corelisters.ServiceAccountLister
	clusterRoles rbaclisters.ClusterRoleLister
	policies     *policyChecker
}

// newControllers must be called before the informers are started.
func newControllers(kube kubernetes.Interface, dyn dynamic.Interface, f informers.SharedInformerFactory) *controllers {
	return &controllers{kube, dyn, f.Core().V1().Namespaces().Lister(), f.Core().V1().ServiceAccounts().Lister(), f.Rbac().V1().ClusterRoles().Lister(),
		newPolicyChecker(kube, f.Admissionregistration().V1().ValidatingAdmissionPolicies().Lister())}
}

func (c *controllers) run(ctx context.Context) {
	go wait.UntilWithContext(ctx, c.makeServiceAccounts, 100*time.Millisecond)
	go wait.UntilWithContext(ctx, c.aggregateRoles, 200*time.Millisecond)
	go wait.UntilWithContext(ctx, c.finishNamespaces, time.Second)
	go c.policies.run(ctx)
}

// makeServiceAccounts gives every namespace its account "default", which Pods have that name no other.
func (c *controllers) makeServiceAccounts(ctx context.Context) {
	namespaces, _ := c.namespaces.List(labels.Everything())
	for _, ns := range namespaces {
		if _, err := c.accounts.ServiceAccounts(ns.Name).Get("default"); err != nil && ns.DeletionTimestamp.IsZero() {
			// Failures (the namespace is gone, the informer lags) are met again in 100 ms.
			c.kube.CoreV1().ServiceAccounts(ns.Name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: objectMeta("default")}, metav1.CreateOptions{})
		}
	}
}

// aggregateRoles fills the ClusterRoles that gather the rules of others.
func (c *controllers) aggregateRoles(ctx context.Context) {
	roles, _ := c.clusterRoles.List(labels.Everything())
	for _, role := range roles {
		if role.AggregationRule == nil {
			continue
		}
		if rules := c.gather(role); !apiequality.Semantic.DeepEqual(role.Rules, rules) {
			changed := role.DeepCopy()
			changed.Rules = rules
			c.kube.RbacV1().ClusterRoles().Update(ctx, changed, metav1.UpdateOptions{}) // a conflict is met again in 200 ms
		}
	}
}

func (c *controllers) gather(role *rbacv1.ClusterRole) (rules []rbacv1.PolicyRule) {
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			continue
		}
		parts, _ := c.clusterRoles.List(selector)
		slices.SortFunc(parts, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
		for _, part := range parts {
			if part.Name != role.Name {
				rules = append(rules, part.Rules...)
			}
		}
	}
	return rules
}

// finishNamespaces empties Terminating namespaces and lets them go.
func (c *controllers) finishNamespaces(ctx context.Context) {
	namespaces, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		if ns.Status.Phase != corev1.NamespaceTerminating || len(ns.Spec.Finalizers) == 0 {
			continue
		}
		if isEmpty, err := c.emptyNamespace(ctx, ns.Name); err != nil || !isEmpty {
			continue
		}
		ns.Spec.Finalizers = nil
		if _, err := c.kube.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{}); err == nil {
			c.kube.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &ns.UID}})
		}
	}
}

// emptyNamespace deletes what can be deleted and says whether nothing is left.
func (c *controllers) emptyNamespace(ctx context.Context, namespace string) (bool, error) {
	lists, err := discovery.ServerPreferredNamespacedResources(c.kube.Discovery())
	if err != nil {
		return false, err
	}
	empty := true
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "deletecollection"}}, lists) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return false, err
		}
		for _, r := range list.APIResources {
			objects := c.dyn.Resource(version.WithResource(r.Name)).Namespace(namespace)
			objects.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
			if left, err := objects.List(ctx, metav1.ListOptions{Limit: 1}); err != nil || len(left.Items) > 0 {
				empty = false
			}
		}
	}
	return empty, nil
}
