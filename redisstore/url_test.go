package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
)

func TestValidURLs(t *testing.T) {
	for _, url := range []string{
		"redis://localhost", "redis://localhost:6379/3", "redis://:pw@[::1]:6379", "redis://user:p%40w%2F@h:1/0?db=2",
		"rediss://h:6380?skip_verify=true", "unix:///run/redis.sock", "unix://user:pw@/run/redis.sock?db=1",
		"redis+sentinel://h1:26379,h2:26379/mymaster?db=0", "redis+sentinel://h1,h2,[::1]/mymaster",
		"rediss+sentinel://u:p@h1/m?sentinel_username=a&sentinel_password=b",
		"redis+cluster://h1:7000,h2:7000", "rediss+cluster://u:p@h1:7000", "redis+cluster://h1/",
		"redis://h?pool_size=10&min_idle_conns=1&max_idle_conns=5&max_active_conns=20&dial_timeout=1s&read_timeout=2s" +
			"&write_timeout=2s&pool_timeout=1s&conn_max_idle_time=5m&conn_max_lifetime=1h&client_name=gw&auto_pipeline=false",
	} {
		o := redisstore.Defaults()
		o.URL = url
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestInvalidURLs checks that an error names the mistake and does not repeat the
// password, even if it is in the wrong place. The password has s3 and cret in it.
func TestInvalidURLs(t *testing.T) {
	for url, want := range map[string]string{
		"": "URL is empty", "localhost:6379": "URL is invalid", "http://h3": "URL is invalid", "redis:/s3cret@h": "URL is invalid",
		"redis://:s3/cret@h:6379": "URL is invalid", "redis://:s3?cret@h:6379": "URL is invalid",
		"redis://:12/s3cret@h:6379": "number of a database", "redis://:12?s3cret@h:6379": "unknown parameter",
		"redis://:s3#cret@h:6379": "URL is invalid", "redis://:s3 cret@h:99999x": "URL is invalid",
		"redis://:s3cret@h:port": "URL is invalid", "redis://:%zzs3cret@h": "URL is invalid",
		"redis://h1,h2": "several hosts", "redis://h/x": "number of a database", "redis://h/-1": "number of a database",
		"redis+sentinel://h": "master's name", "redis+sentinel://h/a/b": "master's name",
		"redis+cluster://h/1": "one database", "redis+cluster://h?db=1": "database 0 only",
		"unix://h3/run/x": "path of a socket", "unix://": "path of a socket",
		"redis://h?s3cret=1": "unknown parameter", "redis://h?pool_size=s3cret": "parameter pool_size: give a whole number",
		"redis://h?read_timeout=s3cret": "parameter read_timeout: give a duration", "redis://h?read_timeout=0s": "give a duration",
		"redis://h?skip_verify=true": "rediss:// only", "redis://h?ca_cert=x": "rediss:// only",
		"rediss://h?ca_cert=/s3cret": "can't be read", "rediss://h?ca_cert=options_test.go": "no PEM certificate",
		"rediss://h?ca_cert=": "give the path", "redis://h?client_key=x": "rediss:// only",
		"rediss://h?client_cert=/s3cret": "both or neither", "rediss://h?client_key=/s3cret": "both or neither",
		"rediss://h?client_cert=/s3cret&client_key=/s3cret":                 "client_cert: the file can't be read",
		"rediss://h?client_cert=options_test.go&client_key=/s3cret":         "client_key: the file can't be read",
		"rediss://h?client_cert=options_test.go&client_key=options_test.go": "a certificate and its private key",
		"rediss://h?skip_verify=s3cret":                                     "true or false", "redis://h?auto_pipeline=s3cret": "true or false",
		"redis://u@s3cret@h:1:2": "URL is invalid",
	} {
		o := redisstore.Defaults()
		o.URL = url
		_, err := redisstore.New(o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", url, err, want)
			continue
		}
		if strings.Contains(err.Error(), "s3") || strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: the error contains the password: %v", url, err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "rs") // t.TempDir() may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "redis.sock")
	redistest.Standalone(t, "--unixsocket", socket)
	login(t, open(t, "unix://"+socket), alice, policy)
}

func TestPasswordAndDatabase(t *testing.T) {
	srv := redistest.Standalone(t)
	srv.Do("ACL", "SETUSER", "gate", "on", ">p@ss/w:rd", "~*", "&*", "+@all")
	srv.Do("ACL", "SETUSER", "default", "off")
	for _, url := range []string{
		"redis://gate:p%40ss%2Fw%3Ard@" + srv.Addr + "/3", "redis://gate:p@ss%2Fw:rd@" + srv.Addr + "?db=3",
	} {
		if err := open(t, url).Ping(ctx); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestTLS checks that ca_cert makes the store trust a certificate, for its host only.
func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	_, port, _ := net.SplitHostPort(freeport.Address(t))
	redistest.Standalone(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	for url, trusted := range map[string]bool{
		"rediss://127.0.0.1:" + port + "?ca_cert=" + cert:   true,
		"rediss://127.0.0.1:" + port + "?skip_verify=true":  true,
		"rediss://127.0.0.1:" + port:                        false,
		"rediss://127.0.0.2:" + port + "?ca_cert=" + cert:   false,
		"redis://127.0.0.1:" + port + "?read_timeout=500ms": false,
	} {
		if err := open(t, url).Ping(ctx); (err == nil) != trusted {
			t.Errorf("%s: got %v, want success: %t", url, err, trusted)
		}
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key to files, and
// returns their paths.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range []struct {
		path       *string
		name, kind string
		der        []byte
	}{{&cert, "cert.pem", "CERTIFICATE", der}, {&key, "key.pem", "EC PRIVATE KEY", keyDER}} {
		*f.path = filepath.Join(dir, f.name)
		if err := os.WriteFile(*f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestParametersAreDocumented checks that settings.md lists every parameter of a URL.
func TestParametersAreDocumented(t *testing.T) {
	document, err := os.ReadFile("../deploy/docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Parameters of")
	options := redisstore.Defaults()
	options.URL = "redis://h?nosuch=1"
	err = options.Validate()
	if err == nil {
		t.Fatal("got no error for an unknown parameter, want one that lists them all")
	}
	_, names, _ := strings.Cut(err.Error(), "give one of ")
	for name := range strings.SplitSeq(names, ", ") {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("settings.md lacks the parameter %q", name)
		}
	}
}
