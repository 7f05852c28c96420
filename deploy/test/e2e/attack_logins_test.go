package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

const bankSecret = "bank-secret-0123456789abcdef"

// startAttacked starts a gateway with the app shop, which is attacked and has the given user
// source, and the app bank, whose users are a file.
func startAttacked(t *testing.T, shopUsers string) *gatewaytest.Gateway {
	t.Helper()
	bank := "TOKENGATE_APP_BANK_"
	return gatewaytest.Start(t, "", gatewaytest.Settings{
		"APPS": gatewaytest.App + ",bank", "APP_USERS": shopUsers, "APP_LOGIN_ATTEMPTS_PER_NETWORK": "1000000",
		"TRUSTED_PROXIES": "127.0.0.1", // so that the attackers are not one client, whose connections are few
		bank + "USERS":    "file:" + gatewaytest.UserFile(t), bank + "SECRET_KEY": bankSecret,
		bank + "SIGNING_KEY": "bank-signing-key-0123456789abcdef0123456789abcdef",
	})
}

// storm is a number of logins to the app shop.
type storm struct {
	connections sync.WaitGroup

	mu    sync.Mutex
	codes map[string]int // how many answers there are, by status and code
}

// attackers returns a client that waits longer than the gateway lets any login wait.
func attackers(g *gatewaytest.Gateway) *gatewaytest.Client {
	client := g.Client()
	client.HTTP.Timeout = time.Minute
	client.HTTP.Transport.(*http.Transport).MaxConnsPerHost = 1000 // far fewer than the gateway accepts
	return client
}

// login sends one login and counts the answer.
func (a *storm) login(ctx context.Context, c *gatewaytest.Client, username, password string) {
	a.count(ctx, c.Post(ctx, "/api/session/login/", "", map[string]string{
		"username": username, "password": password, "secret_key": c.Secret, "session": "LONG", "info": "attack",
	}))
}

func (a *storm) count(ctx context.Context, resp gatewaytest.Response) {
	code := fmt.Sprint(resp.Status, " ", resp.Code)
	if resp.Status == 0 {
		code = fmt.Sprint("no answer: ", resp.Err)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.Status == http.StatusServiceUnavailable && (err != nil || seconds < 1) {
		code += " without Retry-After"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.codes == nil {
		a.codes = map[string]int{}
	}
	if resp.Status != 0 || ctx.Err() == nil {
		a.codes[code]++
	}
}

// answers returns how many answers there are with a status and a code.
func (a *storm) answers(code string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[code]
}

// check checks that all logins were answered, with one of these statuses and codes.
func (a *storm) check(t *testing.T, expected ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Log("answers:", a.codes)
	for code, n := range a.codes {
		if !slices.Contains(expected, code) {
			t.Errorf("got %d answers %q, want only %q", n, code, expected)
		}
	}
}

// loginsOfBank checks that logins to the app bank succeed.
func loginsOfBank(t *testing.T, g *gatewaytest.Gateway, n int) {
	t.Helper()
	bank := g.Client().As("bank", bankSecret)
	for i := range n {
		start := time.Now()
		requireStatus(t, http.StatusOK, bank.Login(t.Context(), i, "LONG", "user"), "login to another app")
		t.Logf("login %d to another app took %s", i, time.Since(start).Round(time.Millisecond))
	}
}

// slowUser returns a user source whose only user, ann, has a real hash.
func slowUser(t *testing.T) string {
	t.Helper()
	const hash = "$argon2id$v=19$m=19456,t=2,p=1$RfUVoZ/69z+89+y9s2iYMQ$rwZSJpB5iSOndb3oyppgp6K0gx/HrKpnt346Dn6wtac"
	users, err := json.Marshal([]account{{ID: 1, Username: "ann", Password: hash, Active: true}})
	must(t, err)
	return "file:" + writeFile(t, "users.json", users)
}

// TestS3StormOfOneApp checks that 300 connections that log in to one app, with real hashes, make
// no login to another app fail.
func TestS3StormOfOneApp(t *testing.T) {
	g := startAttacked(t, slowUser(t))
	loginsOfBank(t, g, 1)
	ctx, stop := context.WithCancel(t.Context())
	var a storm
	client := attackers(g)
	for i := range 300 {
		a.connections.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				a.login(ctx, client, fmt.Sprintf("user %d of %d", n, i), "wrong")
			}
		})
	}
	gatewaytest.WaitUntil(t, 30*time.Second, "logins of the storm fail", func() bool { return a.answers("503 busy") > 0 })
	loginsOfBank(t, g, 8)
	stop()
	a.connections.Wait()
	a.check(t, "400 invalid_credentials", "503 busy")
}

// openFiles returns the number of files that a process has open.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	return len(files)
}

// TestS4SlowUpstream checks that 520 logins to an app whose user source takes 4 s for each use
// few files, are answered, and make no login to another app fail.
func TestS4SlowUpstream(t *testing.T) {
	t.Parallel()
	const logins, requests = 520, 64 // the latter is the number of logins that the source is asked about at once
	var now, most atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(4 * time.Second)
		now.Add(-1)
		_, _ = w.Write([]byte(`{"user_id":7}`))
	}))
	t.Cleanup(slow.Close)
	g := startAttacked(t, slow.URL)
	loginsOfBank(t, g, 1)
	before := openFiles(t, g.PID())
	var a storm
	client := attackers(g)
	for i := range logins {
		a.connections.Go(func() { a.login(t.Context(), client, fmt.Sprint("user", i), "secret") })
	}
	gatewaytest.WaitUntil(t, 30*time.Second, "the source is busy", func() bool { return now.Load() == requests })
	loginsOfBank(t, g, 5)
	if got := openFiles(t, g.PID()) - before; got > logins+requests+10 {
		t.Errorf("got %d more open files, want at most those of %d clients and %d requests", got, logins, requests)
	}
	a.connections.Wait()
	a.check(t, "200 ", "503 busy")
	if most.Load() > requests {
		t.Errorf("the source got %d requests at once, want at most %d", most.Load(), requests)
	}
}

// memory returns the most memory that a process has had, in MiB.
func memory(t *testing.T, pid int) (peak int) {
	t.Helper()
	_, rest, found := strings.Cut(proc(t, pid, "status"), "VmHWM:")
	if _, err := fmt.Sscan(rest, &peak); err != nil || !found {
		t.Fatal("no VmHWM in the status of the process")
	}
	return peak >> 10
}

// TestS4LongFields checks that 3,000 logins with long usernames or passwords need little memory
// while they wait, and make no login to another app fail.
func TestS4LongFields(t *testing.T) {
	const logins, senders, most = 3000, 30, 200 // the latter in MiB; without bounds it is 340 or more
	for _, c := range []struct{ username, password int }{{58 << 10, 8}, {8, 58 << 10}, {1000, 1000}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			g := startAttacked(t, slowUser(t))
			loginsOfBank(t, g, 1)
			client, username, password := attackers(g), strings.Repeat("u", c.username), strings.Repeat("p", c.password)
			var a storm
			var number atomic.Int64 // of the login, so that each has a username of its own
			var sending sync.WaitGroup
			for range senders {
				sending.Go(func() {
					for range logins / senders {
						answered := make(chan struct{})
						a.connections.Go(func() {
							a.login(t.Context(), client, fmt.Sprint(number.Add(1), username), password)
							close(answered)
						})
						select {
						case <-answered:
						case <-time.After(20 * time.Millisecond): // it waits; the next one is sent
						}
					}
				})
			}
			loginsOfBank(t, g, 3)
			sending.Wait()
			a.connections.Wait()
			a.check(t, "400 invalid_credentials", "503 busy")
			if peak := memory(t, g.PID()); peak > most {
				t.Errorf("the gateway has needed %d MiB, want at most %d", peak, most)
			}
			t.Logf("the gateway has needed %d MiB", memory(t, g.PID()))
		})
	}
}
