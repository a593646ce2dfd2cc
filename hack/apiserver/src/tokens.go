package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// serviceAccountTokens makes and checks tokens. They are JSON Web Tokens under a key of the state directory, so that
// they outlive a restart of the server, and die with their account.
type serviceAccountTokens struct {
	key      []byte
	accounts *registry
}

type claims struct {
	Subject    string `json:"sub"`
	IssuedAt   int64  `json:"iat"`
	Expires    int64  `json:"exp"`
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Account   named  `json:"serviceaccount"`
		Bound     *named `json:"pod,omitempty"`
	} `json:"kubernetes.io"`
}

type named struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

var tokenHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

func (t *serviceAccountTokens) sign(c claims) string {
	body := tokenHeader + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(c)))
	return body + "." + base64.RawURLEncoding.EncodeToString(t.mac(body))
}

func (t *serviceAccountTokens) mac(body string) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write([]byte(body))
	return m.Sum(nil)
}

// AuthenticateToken passes on tokens that are not of this kind.
func (t *serviceAccountTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	dot := strings.LastIndex(token, ".")
	if dot < 0 || !strings.HasPrefix(token, tokenHeader+".") {
		return nil, false, nil
	}
	mac, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || !hmac.Equal(mac, t.mac(token[:dot])) {
		return nil, false, fmt.Errorf("the token's signature is wrong")
	}
	var c claims
	body, err := base64.RawURLEncoding.DecodeString(token[len(tokenHeader)+1 : dot])
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return nil, false, err
	}
	if time.Now().Unix() >= c.Expires {
		return nil, false, fmt.Errorf("the token has expired")
	}
	k := c.Kubernetes
	account, err := t.accounts.Get(genericreq.WithNamespace(ctx, k.Namespace), k.Account.Name, &metav1.GetOptions{})
	if err != nil || string(account.(*corev1.ServiceAccount).UID) != k.Account.UID {
		return nil, false, fmt.Errorf("the token's service account is gone")
	}
	extra := map[string][]string{}
	if k.Bound != nil {
		extra[serviceaccount.PodNameKey], extra[serviceaccount.PodUIDKey] = []string{k.Bound.Name}, []string{k.Bound.UID}
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: c.Subject, UID: k.Account.UID, Extra: extra,
		Groups: serviceaccount.MakeGroupNames(k.Namespace)}}, true, nil
}

// tokenREST serves serviceaccounts/NAME/token.
type tokenREST struct{ tokens *serviceAccountTokens }

func (t *tokenREST) New() runtime.Object { return &authnv1.TokenRequest{} }
func (t *tokenREST) Destroy()            {}
func (t *tokenREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authnv1.SchemeGroupVersion.WithKind("TokenRequest")
}

func (t *tokenREST) Create(ctx context.Context, name string, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	o, err := t.tokens.accounts.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	account, request := o.(*corev1.ServiceAccount), obj.(*authnv1.TokenRequest)
	life := int64(3600)
	if request.Spec.ExpirationSeconds != nil {
		life = *request.Spec.ExpirationSeconds
	}
	now := time.Now()
	expires := now.Add(time.Duration(life) * time.Second)
	c := claims{Subject: serviceaccount.MakeUsername(account.Namespace, name), IssuedAt: now.Unix(), Expires: expires.Unix()}
	c.Kubernetes.Namespace = account.Namespace
	c.Kubernetes.Account = named{name, string(account.UID)}
	if ref := request.Spec.BoundObjectRef; ref != nil && ref.Kind == "Pod" {
		c.Kubernetes.Bound = &named{ref.Name, string(ref.UID)}
	}
	request.Status = authnv1.TokenRequestStatus{Token: t.tokens.sign(c), ExpirationTimestamp: metav1.NewTime(expires)}
	return request, nil
}
