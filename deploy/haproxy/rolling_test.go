// Package haproxy_test runs haproxy.cfg, the very file, as a process in front
// of three gateways, and takes gateways away under load, and Redis.
package haproxy_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/ports"
	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// site is what deploy/compose.yaml runs: a balancer, three gateways, one Redis.
type site struct {
	client   *rig.Client
	gateways [3]*rig.Gateway
}

func open(t *testing.T, redisURL string, settings rig.Settings) *site {
	t.Helper()
	address := ports.Address(t)
	env := append(os.Environ(), "LISTEN="+address)
	s := &site{client: rig.NewClient("http://" + address)}
	for i := range s.gateways {
		// The delay is the default; five health checks fit in.
		all := rig.Settings{"SHUTDOWN_DELAY": "1s", "TRUSTED_PROXIES": "127.0.0.1/32"}
		maps.Copy(all, settings)
		s.gateways[i] = rig.Start(t, redisURL, all)
		_, port, _ := strings.Cut(strings.TrimPrefix(s.gateways[i].AdminURL, "http://"), ":")
		env = append(env, fmt.Sprintf("GATEWAY_%d=%s", i+1, strings.TrimPrefix(s.gateways[i].URL, "http://")),
			fmt.Sprintf("ADMIN_%d=%s", i+1, port))
	}
	balance(t, address, env)
	return s
}

// balance runs haproxy until the test ends.
func balance(t *testing.T, address string, env []string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "haproxy.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", "haproxy.cfg")
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("haproxy is needed for this test: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("haproxy:\n%s", text)
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("haproxy does not listen: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// crowd is clients that go on until they are told to stop.
type crowd struct {
	t       *testing.T
	client  *rig.Client
	retries bool // whether a client repeats a login or a refresh that got no answer

	stop     chan struct{}
	wg       sync.WaitGroup
	requests atomic.Int64
	repeated atomic.Int64
}

const members = 12

func (s *site) load(t *testing.T, retries bool) *crowd {
	c := &crowd{t: t, client: s.client, retries: retries, stop: make(chan struct{})}
	for i := range members {
		c.wg.Go(func() { c.member(i) })
		c.wg.Go(func() { c.newcomer(members + i) })
	}
	return c
}

// end stops the clients and waits until the last answer is checked.
func (c *crowd) end() {
	close(c.stop)
	c.wg.Wait()
	c.t.Logf("%d requests, %d of them repeated by the client", c.requests.Load(), c.repeated.Load())
	if c.requests.Load() < 500 {
		c.t.Errorf("only %d requests: that was no load", c.requests.Load())
	}
}

func (c *crowd) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return c.t.Failed()
	}
}

// good checks one answer; what names the request.
func (c *crowd) good(what string, a rig.Answer) bool {
	c.requests.Add(1)
	if a.Status != http.StatusOK {
		c.t.Errorf("%s: status %d %s%s, %v", what, a.Status, a.Code, a.Cause, a.Err)
		return false
	}
	return true
}

// ask sends a request, and where the client may, again if no gateway answered:
// a balancer's 502, 503 and 504 have no code of ours.
func (c *crowd) ask(send func() rig.Answer) rig.Answer {
	a := send()
	for range 3 {
		if !c.retries || a.Status == http.StatusOK || a.Code != "" {
			break
		}
		c.repeated.Add(1)
		a = send()
	}
	return a
}

// member keeps one session: it refreshes with its newest token, lists and
// verifies. Every third time it also presents the token just spent, as a client
// does that got no answer, and must be given the same successor.
func (c *crowd) member(i int) {
	ctx := context.Background()
	a := c.ask(func() rig.Answer { return c.client.Login(ctx, i, "LONG", "laptop") })
	if !c.good("login", a) {
		return
	}
	id, refresh := a.SessionID, a.Refresh
	for n := 0; !c.stopped(); n++ {
		spent := refresh
		a := c.ask(func() rig.Answer { return c.client.Refresh(ctx, "LONG", spent) })
		if !c.good("refresh", a) {
			return
		}
		refresh = a.Refresh
		if n%3 == 0 {
			again := c.ask(func() rig.Answer { return c.client.Refresh(ctx, "LONG", spent) })
			if c.good("refresh again", again) && again.Refresh != refresh {
				c.t.Errorf("the token just spent was given another successor")
			}
		}
		c.good("authz", c.client.Authz(ctx, a.Access))
		held, listed := c.client.List(ctx, a.Access)
		if c.good("list", listed) && (len(held["Long"]) != 1 || held["Long"][0] != id) {
			c.t.Errorf("the user's sessions are %v, one was begun: %s", held, id)
		}
	}
}

// newcomer logs in again and again.
func (c *crowd) newcomer(i int) {
	for !c.stopped() {
		c.good("login", c.ask(func() rig.Answer { return c.client.Login(context.Background(), i, "SHORT", "kiosk") }))
		time.Sleep(5 * time.Millisecond) // a cap is reached soon enough
	}
}

// settle lets the balancer see a gateway that has come back.
const settle = 700 * time.Millisecond

func TestRollingRestartLosesNoRequest(t *testing.T) {
	s := open(t, redistest.Standalone(t).URL, nil)
	c := s.load(t, false)
	time.Sleep(settle)
	for _, g := range s.gateways {
		g.Stop()
		if code := g.ExitCode(); code != 0 {
			t.Errorf("a gateway that was asked to stop exited with %d", code)
		}
		g.Restart()
		time.Sleep(settle)
	}
	c.end()
}

func TestKillLosesNoSession(t *testing.T) {
	s := open(t, redistest.Standalone(t).URL, nil)
	c := s.load(t, true)
	time.Sleep(settle)
	for range 2 {
		for _, g := range s.gateways {
			g.Kill()
			time.Sleep(settle)
			g.Restart()
			time.Sleep(settle)
		}
	}
	c.end()
}
