package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// keys are the cluster's key material, made at the first start and kept in STATE/pki.
type keys struct {
	dir      string
	tokenKey []byte // signs the tokens of service accounts
}

func (k *keys) path(name string) string { return filepath.Join(k.dir, name) }
func (k *keys) read(name string) []byte { return must(os.ReadFile(k.path(name))) }

func loadKeys(dir string) *keys {
	k := &keys{dir: dir}
	if !exists(k.path("complete")) {
		check(os.MkdirAll(dir, 0o700))
		authority := newAuthority()
		server, serverKey := authority.issue(pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth)
		admin, adminKey := authority.issue(pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth)
		token := make([]byte, 32)
		must(rand.Read(token))
		for name, content := range map[string][]byte{
			"ca.crt": pemOf("CERTIFICATE", authority.certificate.Raw), "server.crt": server, "server.key": serverKey,
			"admin.crt": admin, "admin.key": adminKey, "token.key": token,
		} {
			check(os.WriteFile(k.path(name), content, 0o600))
		}
		check(os.WriteFile(k.path("complete"), nil, 0o600)) // last: a start that was cut short begins anew
	}
	k.tokenKey = k.read("token.key")
	return k
}

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority() *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := template(pkix.Name{CommonName: "test-cluster"})
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key))
	return &authority{must(x509.ParseCertificate(der)), key}
}

// issue makes a leaf; every one carries the names of the server, which does not matter for the client's.
func (a *authority) issue(subject pkix.Name, usage x509.ExtKeyUsage) (certificate, key []byte) {
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := template(subject)
	t.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	t.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, address := range ranges.apiAddresses() {
		t.IPAddresses = append(t.IPAddresses, address.AsSlice())
	}
	der := must(x509.CreateCertificate(rand.Reader, t, a.certificate, k.Public(), a.key))
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k)))
}

func template(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{Subject: subject, SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeKubeconfigs writes DIR/kubeconfig (client certificate) and DIR/kubeconfig-token (bearer token).
func (k *keys) writeKubeconfigs(dir, server, token string) {
	for file, auth := range map[string]*clientcmdapi.AuthInfo{
		"kubeconfig-token": {Token: token},
		"kubeconfig":       {ClientCertificateData: k.read("admin.crt"), ClientKeyData: k.read("admin.key")},
	} {
		c := clientcmdapi.NewConfig()
		c.Clusters["test"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: k.read("ca.crt")}
		c.AuthInfos["admin"] = auth
		c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin", Namespace: "default"}
		c.CurrentContext = "test"
		partial := filepath.Join(dir, "."+file)
		check(clientcmd.WriteToFile(*c, partial))
		check(os.Rename(partial, filepath.Join(dir, file)))
	}
}
