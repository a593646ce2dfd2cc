package main

import (
	"context"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authzunion "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

func configureAuthorization(cfg *genericapiserver.RecommendedConfig) *rbac {
	f := cfg.SharedInformerFactory.Rbac().V1()
	r := &rbac{f.Roles().Lister(), f.ClusterRoles().Lister(), f.RoleBindings().Lister(), f.ClusterRoleBindings().Lister()}
	cfg.Authorization.Authorizer = authzunion.New(authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), r)
	cfg.RuleResolver = r
	return r
}

// rbac authorizes from the stored roles and bindings, as its informers know them.
type rbac struct {
	roles           rbaclisters.RoleLister
	clusterRoles    rbaclisters.ClusterRoleLister
	bindings        rbaclisters.RoleBindingLister
	clusterBindings rbaclisters.ClusterRoleBindingLister
}

// rulesOf resolves a reference; of a role that does not exist it says NotFound.
func (r *rbac) rulesOf(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	if ref.Kind == "ClusterRole" {
		role, err := r.clusterRoles.Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	role, err := r.roles.Roles(namespace).Get(ref.Name)
	if err != nil {
		return nil, err
	}
	return role.Rules, nil
}

// rulesFor gives every rule that holds for the user in the namespace; "" is cluster-wide. Bindings to roles that
// do not exist grant nothing.
func (r *rbac) rulesFor(u user.Info, namespace string) (rules []rbacv1.PolicyRule) {
	clusterBindings, _ := r.clusterBindings.List(labels.Everything())
	for _, b := range clusterBindings {
		if matches(u, b.Subjects, "") {
			granted, _ := r.rulesOf(b.RoleRef, "")
			rules = append(rules, granted...)
		}
	}
	if namespace == "" {
		return rules
	}
	bindings, _ := r.bindings.RoleBindings(namespace).List(labels.Everything())
	for _, b := range bindings {
		if matches(u, b.Subjects, namespace) {
			granted, _ := r.rulesOf(b.RoleRef, namespace)
			rules = append(rules, granted...)
		}
	}
	return rules
}

func matches(u user.Info, subjects []rbacv1.Subject, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == u.GetName()
		case rbacv1.GroupKind:
			return slices.Contains(u.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			if s.Namespace != "" {
				namespace = s.Namespace
			}
			return serviceaccount.MatchesUsername(namespace, s.Name, u.GetName())
		}
		return false
	})
}

func (r *rbac) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	want := rbacv1.PolicyRule{Verbs: []string{a.GetVerb()}}
	if a.IsResourceRequest() {
		resource := a.GetResource()
		if a.GetSubresource() != "" {
			resource += "/" + a.GetSubresource()
		}
		want.APIGroups, want.Resources = []string{a.GetAPIGroup()}, []string{resource}
		if a.GetName() != "" {
			want.ResourceNames = []string{a.GetName()}
		}
	} else {
		want.NonResourceURLs = []string{a.GetPath()}
	}
	if ok, _ := validation.Covers(r.rulesFor(a.GetUser(), a.GetNamespace()), []rbacv1.PolicyRule{want}); ok {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor lists what a user may do, for `kubectl auth can-i --list`.
func (r *rbac) RulesFor(_ context.Context, u user.Info, namespace string) (resources []authorizer.ResourceRuleInfo, urls []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	for _, p := range r.rulesFor(u, namespace) {
		if len(p.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: p.Verbs, APIGroups: p.APIGroups, Resources: p.Resources, ResourceNames: p.ResourceNames})
		}
		if len(p.NonResourceURLs) > 0 {
			urls = append(urls, &authorizer.DefaultNonResourceRuleInfo{Verbs: p.Verbs, NonResourceURLs: p.NonResourceURLs})
		}
	}
	return resources, urls, false, nil
}
