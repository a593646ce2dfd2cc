package main

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	authunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// configureAuthentication accepts client certificates of the cluster's CA, the administrator's token (returned) and
// the tokens of service accounts.
func configureAuthentication(cfg *genericapiserver.RecommendedConfig, keys *keys, tokens *serviceAccountTokens) string {
	ca := must(dynamiccertificates.NewStaticCAContent("ca", keys.read("ca.crt")))
	check(cfg.Authentication.ApplyClientCert(ca, cfg.SecureServing))
	admin := adminToken(inState("admin.token"))
	static := tokenfile.New(map[string]*user.DefaultInfo{admin: {Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}})
	// Cached as upstream does, since every check of a service account's token reads the account.
	accounts := tokencache.New(tokens, true, 10*time.Second, 0)
	cfg.Authentication.Authenticator = group.NewAuthenticatedGroupAdder(authunion.New(
		x509.NewDynamic(ca.VerifyOptions, x509.CommonNameUserConversion),
		bearertoken.New(tokenunion.New(static, accounts))))
	return admin
}

func adminToken(path string) string {
	if b, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(b))
	}
	b := make([]byte, 16)
	must(rand.Read(b))
	token := hex.EncodeToString(b)
	check(os.WriteFile(path, []byte(token), 0o600))
	return token
}
