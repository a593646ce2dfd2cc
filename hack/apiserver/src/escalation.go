package main

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// guarded refuses to give away rights that the requester does not have: a role may hold what its author holds, or the
// author may `escalate` it; a binding may grant what its author holds, or the author may `bind` the role.
type guarded struct {
	*registry
	rbac       *rbac
	authorizer authorizer.Authorizer
}

func (g *guarded) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	if err := g.confirm(ctx, obj, nil); err != nil {
		return nil, err
	}
	return g.registry.Create(ctx, obj, validate, o)
}

func (g *guarded) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc, onUpdate rest.ValidateObjectUpdateFunc, create bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	info = rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		return obj, g.confirm(ctx, obj, old)
	})
	return g.registry.Update(ctx, name, info, onCreate, onUpdate, create, o)
}

// confirm lets through what grants nothing new: an update that leaves rules, subjects and reference alone.
func (g *guarded) confirm(ctx context.Context, obj, old runtime.Object) error {
	unchanged := func(fields ...string) bool {
		return old != nil && !slices.ContainsFunc(fields, func(f string) bool {
			return !apiequality.Semantic.DeepEqual(fieldOf(obj, f).Interface(), fieldOf(old, f).Interface())
		})
	}
	namespace := genericreq.NamespaceValue(ctx)
	switch o := obj.(type) {
	case *rbacv1.Role:
		if unchanged("Rules") {
			return nil
		}
		return g.confirmGrant(ctx, "escalate", rbacv1.RoleRef{Kind: "Role", Name: o.Name}, o.Rules)
	case *rbacv1.ClusterRole:
		if unchanged("Rules", "AggregationRule") {
			return nil
		}
		granted := o.Rules
		if o.AggregationRule != nil { // what will be aggregated is not known: everything may be
			granted = everything
		}
		return g.confirmGrant(ctx, "escalate", rbacv1.RoleRef{Kind: "ClusterRole", Name: o.Name}, granted)
	case *rbacv1.RoleBinding:
		if unchanged("Subjects", "RoleRef") || g.allowed(ctx, "bind", o.RoleRef) {
			return nil
		}
		granted, err := g.rbac.rulesOf(o.RoleRef, namespace)
		if err != nil {
			return err
		}
		return g.confirmGrant(ctx, "bind", o.RoleRef, granted)
	case *rbacv1.ClusterRoleBinding:
		if unchanged("Subjects", "RoleRef") || g.allowed(ctx, "bind", o.RoleRef) {
			return nil
		}
		granted, err := g.rbac.rulesOf(o.RoleRef, "")
		if err != nil {
			return err
		}
		return g.confirmGrant(ctx, "bind", o.RoleRef, granted)
	}
	return nil
}

// allowed asks whether the requester has the verb on the role itself.
func (g *guarded) allowed(ctx context.Context, verb string, role rbacv1.RoleRef) bool {
	requester, _ := genericreq.UserFrom(ctx)
	asked := authorizer.AttributesRecord{User: requester, Verb: verb, APIGroup: rbacv1.GroupName, APIVersion: "v1",
		Resource: "clusterroles", Name: role.Name, Namespace: genericreq.NamespaceValue(ctx), ResourceRequest: true}
	if role.Kind == "Role" {
		asked.Resource = "roles"
	}
	decision, _, err := g.authorizer.Authorize(ctx, asked)
	return err == nil && decision == authorizer.DecisionAllow
}

func (g *guarded) confirmGrant(ctx context.Context, verb string, role rbacv1.RoleRef, granted []rbacv1.PolicyRule) error {
	if g.allowed(ctx, verb, role) {
		return nil
	}
	requester, _ := genericreq.UserFrom(ctx)
	held := g.rbac.rulesFor(requester, genericreq.NamespaceValue(ctx))
	if covered, missing := validation.Covers(held, granted); !covered {
		return apierrors.NewForbidden(g.kind.groupResource(), role.Name, fmt.Errorf(
			"user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
			requester.GetName(), requester.GetGroups(), describe(missing)))
	}
	return nil
}

func describe(rules []rbacv1.PolicyRule) (text string) {
	for _, r := range rules {
		if len(r.NonResourceURLs) > 0 {
			text += fmt.Sprintf("{NonResourceURLs:%q, Verbs:%q}\n", r.NonResourceURLs, r.Verbs)
		} else {
			text += fmt.Sprintf("{APIGroups:%q, Resources:%q, ResourceNames:%q, Verbs:%q}\n", r.APIGroups, r.Resources, r.ResourceNames, r.Verbs)
		}
	}
	return text
}
