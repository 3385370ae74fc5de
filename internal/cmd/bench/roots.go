package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"
)

// lambdaRoots is the number of root certificates in Amazon Linux; it changes a little from year to year.
const lambdaRoots = 145

// roots are as many root certificates as on Lambda, for the functions that are measured. The last one has signed the
// certificate of the services that they call.
type roots struct {
	file        string
	own         string // a bundle with only that last one
	certificate tls.Certificate
}

// newRoots writes the bundle into a directory. It takes this machine's own roots, because the keys of real certificates
// differ from generated ones, and adds generated ones until there are enough.
func newRoots(directory string) (*roots, error) {
	var bundle bytes.Buffer
	count := 0
	if system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err == nil {
		for block, rest := pem.Decode(system); block != nil && count < lambdaRoots-1; block, rest = pem.Decode(rest) {
			if err := pem.Encode(&bundle, block); err != nil {
				return nil, err
			}
			count++
		}
	}
	for ; count < lambdaRoots-1; count++ {
		made, _, err := makeRoot(count)
		if err != nil {
			return nil, err
		}
		if err := pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: made.Raw}); err != nil {
			return nil, err
		}
	}
	root, key, err := makeRoot(count)
	if err != nil {
		return nil, err
	}
	if err := pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}); err != nil {
		return nil, err
	}
	r := &roots{file: filepath.Join(directory, "roots.pem"), own: filepath.Join(directory, "root.pem")}
	if err := os.WriteFile(r.own, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		return nil, err
	}
	if r.certificate, err = makeCertificate(root, key); err != nil {
		return nil, err
	}
	return r, os.WriteFile(r.file, bundle.Bytes(), 0o600)
}

func makeRoot(n int) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: fmt.Sprintf("Bench Root %d", n)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	root, err := x509.ParseCertificate(raw)
	return root, key, err
}

// makeCertificate returns a certificate for servers on the loopback interface.
func makeCertificate(root *x509.Certificate, rootKey *ecdsa.PrivateKey) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}

// serve serves a handler over TLS on the loopback interface.
func (r *roots) serve(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // an instance that is closed breaks off its handshakes
	server.TLS = &tls.Config{Certificates: []tls.Certificate{r.certificate}}
	server.StartTLS()
	return server
}
