package wholetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/ports"
	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestEveryTopology runs every endpoint over each way to reach Redis.
func TestEveryTopology(t *testing.T) {
	for name, open := range map[string]func(*testing.T) string{
		"standalone": func(t *testing.T) string { return redistest.Standalone(t).URL },
		"database":   func(t *testing.T) string { return redistest.Standalone(t).URL + "/3" },
		"socket": func(t *testing.T) string {
			socket := filepath.Join(t.TempDir(), "redis.sock")
			redistest.Standalone(t, "--unixsocket", socket)
			return "unix://" + socket
		},
		"password": func(t *testing.T) string {
			server := redistest.Standalone(t)
			server.Do("CONFIG", "SET", "requirepass", "p@ss/word")
			return "redis://:" + url.QueryEscape("p@ss/word") + "@" + server.Addr
		},
		"pipeline": func(t *testing.T) string { return redistest.Standalone(t).URL + "?auto_pipeline=true&pool_size=4" },
		"sentinel": func(t *testing.T) string { return redistest.Sentinel(t).URL },
		"cluster":  func(t *testing.T) string { return redistest.Cluster(t, 3).URL },
		"tls":      func(t *testing.T) string { return tlsServer(t, newAuthority(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			smoke(t, rig.Start(t, open(t), nil))
		})
	}
}

// smoke runs each endpoint once to a success and, after an ending, to a
// refusal. Users are taken from all over the Cluster.
func smoke(t *testing.T, g *rig.Gateway) {
	t.Helper()
	ctx, c := t.Context(), g.Client()
	for user := range 6 {
		first := want(t, http.StatusOK, c.Login(ctx, user, "LONG", "first"), "login")
		second := want(t, http.StatusOK, c.Login(ctx, user, "LONG", "second"), "login")
		third := want(t, http.StatusOK, c.Login(ctx, user, "SHORT", "third"), "login")
		fourth := want(t, http.StatusOK, c.Login(ctx, user, "SHORT", "fourth"), "login")
		first = want(t, http.StatusOK, c.Refresh(ctx, "LONG", first.Refresh), "refresh")
		want(t, http.StatusOK, c.Verify(ctx, first.Access), "verify")
		want(t, http.StatusOK, c.Verify(ctx, first.Refresh), "verify of a refresh token")
		if a := want(t, http.StatusOK, c.Authz(ctx, first.Access), "authz"); a.Header.Get("X-Auth-User") != strconv.Itoa(user+1) {
			t.Errorf("authz says the user is %q", a.Header.Get("X-Auth-User"))
		}
		want(t, http.StatusOK, c.Destroy(ctx, first.Access, second.SessionID), "destroy")
		want(t, http.StatusOK, c.Logout(ctx, third.Refresh), "logout")
		ids, a := c.List(ctx, first.Access)
		if want(t, http.StatusOK, a, "list"); len(ids["Long"]) != 1 || len(ids["Short"]) != 1 {
			t.Errorf("the list after destroy and logout is %v", ids)
		}
		want(t, http.StatusOK, c.DestroyOthers(ctx, first.Access, first.Refresh, "ALL"), "destroy all others")
		refused(t, c.Refresh(ctx, "LONG", second.Refresh), "ended", "user", "refresh after destroy")
		refused(t, c.Refresh(ctx, "SHORT", third.Refresh), "ended", "logout", "refresh after logout")
		refused(t, c.Refresh(ctx, "SHORT", fourth.Refresh), "ended", "others", "refresh after destroy all others")
		for _, ended := range []string{second.Access, third.Access, fourth.Access} {
			eventually(t, 2*time.Second, "an ended session's access token is refused", func() bool {
				return c.Authz(ctx, ended).Status == http.StatusUnauthorized
			})
			want(t, http.StatusUnauthorized, c.Verify(ctx, ended), "verify of an ended session's token")
		}
	}
}

// authority is a CA made for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string // of its certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{cert, key, writePEM(t, "CERTIFICATE", der)}
}

// server issues a certificate for 127.0.0.1 and gives its path and its key's.
func (a authority) server(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	return writeFile(t, "pem", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// tlsServer starts a server with a certificate of a's and gives a URL that
// trusts a and no other.
func tlsServer(t *testing.T, a authority) string {
	t.Helper()
	cert, key := a.server(t)
	_, port, _ := net.SplitHostPort(ports.Address(t))
	redistest.Standalone(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", a.path, "--tls-auth-clients", "no")
	return "rediss://127.0.0.1:" + port + "?ca_cert=" + url.QueryEscape(a.path)
}

// TestTLSIsVerified: a server whose certificate is of another authority, or of
// one that nobody trusts, is no server.
func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	trusted := tlsServer(t, newAuthority(t))
	address, _, _ := strings.Cut(trusted, "?")
	for name, u := range map[string]string{
		"the system's authorities": address,
		"another authority":        address + "?ca_cert=" + url.QueryEscape(newAuthority(t).path),
	} {
		t.Run(name, func(t *testing.T) {
			code, out := commandsOver(u).run(t, "", "check")
			if code == 0 || !strings.Contains(out, "certificate") {
				t.Errorf("exit code %d, %q", code, out)
			}
		})
	}
	if code, out := commandsOver(trusted).run(t, "", "check"); code != 0 {
		t.Errorf("the right authority: exit code %d, %q", code, out)
	}
}

// neededCommands are all that a gateway runs on one server, by itself or in its
// scripts.
var neededCommands = strings.Fields(`evalsha eval time exists get set del
	hget hset hsetnx hmget hgetall hdel sadd smembers
	zadd zrem zcard zrange zrevrange zrangebyscore zrevrangebyscore zremrangebyrank
	pexpire pexpireat xadd xrange publish subscribe ping info`)

// TestReadmeHasTheRights: what the next test tries is what README tells.
func TestReadmeHasTheRights(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(readme), "ACL SETUSER tokengate ")
	_, rest, _ = strings.Cut(rest, "-@all")
	rights, _, _ := strings.Cut(rest, "\n\n")
	told := strings.Fields(strings.NewReplacer("\\", "", "+", "").Replace(rights))
	slices.Sort(told)
	if needed := slices.Sorted(slices.Values(neededCommands)); !slices.Equal(told, needed) {
		t.Errorf("README tells\n%q, needed are\n%q", told, needed)
	}
}

// TestLimitedUser: a Redis user who may run these commands and no others, on
// the prefix's keys and channels and no others, is enough: Redis refuses none.
// And none of them is there for nothing.
func TestLimitedUser(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	server.Do("CONFIG", "RESETSTAT") // whether it had started was asked by ping
	gate := limitedUser(t, server, "gate", neededCommands)
	prefix := "TOKENGATE_REDIS_PREFIX=gate"
	users := commandsOver(gate, prefix)
	renamed := writeFile(t, "users.json", []byte(`[{"id": 7, "username": "alicia", "password": "!"}]`))
	for _, args := range [][]string{
		{"check"}, {"user", "add", "--app", rig.App, "alice", "--id", "7"}, {"user", "passwd", "--app", rig.App, "alice"},
		{"user", "disable", "--app", rig.App, "alice"}, {"user", "import", "--app", rig.App, renamed}, {"user", "list", "--app", rig.App}, {"sessions", "list", "--app", rig.App, "--user", "7"},
	} {
		if code, out := users.run(t, "password\n", args...); code != 0 {
			t.Errorf("%q: exit code %d, %s", args, code, out)
		}
	}
	taken := writeFile(t, "users.json", []byte(`[{"id": 8, "username": "alicia", "password": "!"}]`))
	if code, out := users.run(t, "", "user", "import", "--app", rig.App, taken); code == 0 || !strings.Contains(out, "user_exists") {
		t.Errorf("import of a name that is taken: exit code %d, %s", code, out)
	}
	g := rig.Start(t, gate, rig.Settings{"REDIS_PREFIX": "gate"})
	smoke(t, g)
	for range 6 {
		want(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", "until one is evicted"), "login")
	}
	want(t, http.StatusOK, operator(t, g, http.MethodDelete, "/admin/apps/"+rig.App+"/sessions"), "end the app's sessions")
	eventually(t, 10*time.Second, "the idle subscription is asked whether it lives", func() bool { return used(server, "ping") })
	wantNothingRefused(t, server)
	for _, name := range neededCommands {
		if !used(server, name) {
			t.Errorf("%s is allowed and never used", name)
		}
	}
	other := limitedUser(t, server, "other", neededCommands)
	if code, out := commandsOver(other, prefix).run(t, "", "check"); code == 0 || !strings.Contains(out, "NOPERM") {
		t.Errorf("a user of another prefix's keys: exit code %d, %s", code, out)
	}
}

// TestLimitedUserElsewhere: a Cluster takes one command more, and so do
// durability and a database of another number; Sentinel takes none.
func TestLimitedUserElsewhere(t *testing.T) {
	t.Parallel()
	cluster, replicated, alone := redistest.Cluster(t, 3), redistest.Sentinel(t), redistest.Standalone(t)
	for _, c := range []struct {
		url, more string
		nodes     []*redistest.Server
		settings  rig.Settings
	}{
		{cluster.URL, "cluster|slots", cluster.Nodes, rig.Settings{"REDIS_PREFIX": "gate"}},
		{replicated.URL, "wait", []*redistest.Server{replicated.Primary, replicated.Replica}, rig.Settings{"REDIS_PREFIX": "gate", "REDIS_WAIT_REPLICAS": "1"}},
		{alone.URL + "/1", "select", []*redistest.Server{alone}, rig.Settings{"REDIS_PREFIX": "gate"}},
	} {
		for _, node := range c.nodes {
			limitedUser(t, node, "gate", append(neededCommands[:len(neededCommands):len(neededCommands)], c.more))
		}
		g := rig.Start(t, strings.Replace(c.url, "://", "://gate:secret-of-gate@", 1), c.settings)
		smoke(t, g)
		if a := g.Client().Login(t.Context(), 0, "LONG", "x"); c.more == "wait" && a.Header.Get("Durability") != "replicated" {
			t.Errorf("a login's durability is %q", a.Header.Get("Durability"))
		}
		for _, node := range c.nodes {
			wantNothingRefused(t, node)
		}
		if !slices.ContainsFunc(c.nodes, func(node *redistest.Server) bool { return used(node, c.more) }) {
			t.Errorf("%s is allowed and never used", c.more)
		}
	}
}

// used tells whether a server has run a command.
func used(server *redistest.Server, command string) bool {
	return strings.Contains(server.Do("INFO", "commandstats"), "cmdstat_"+command+":")
}

func wantNothingRefused(t *testing.T, server *redistest.Server) {
	t.Helper()
	if text := server.Do("ACL", "LOG"); text != "" {
		t.Errorf("Redis has refused something:\n%s", text)
	}
}

// limitedUser makes a Redis user for a prefix, and the URL to log in with.
func limitedUser(t *testing.T, server *redistest.Server, prefix string, commands []string) string {
	t.Helper()
	rules := []string{"ACL", "SETUSER", prefix, "on", ">secret-of-" + prefix, "resetchannels", "&" + prefix + ":*", "~" + prefix + ":*", "-@all"}
	for _, name := range commands {
		rules = append(rules, "+"+name)
	}
	if answer := server.Do(rules...); answer != "OK" {
		t.Fatal(answer)
	}
	return fmt.Sprintf("redis://%[1]s:secret-of-%[1]s@%[2]s", prefix, server.Addr)
}
