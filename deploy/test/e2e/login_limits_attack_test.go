package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	attackBudget   = 20
	attackNetworks = 1000
	attackWorkers  = 250 // each guesses from several networks in turn
	ownerLogins    = 100
	firstWait      = time.Minute
	longestWait    = 24 * time.Hour
)

// attack guesses the password of user0 from many networks, through HAProxy.
type attack struct {
	*loginLimits
	url     string
	began   time.Time
	stopped atomic.Bool
	wg      sync.WaitGroup

	mu                 sync.Mutex
	sent               map[string]time.Time // when each password was sent
	throttled, refused int                  // answers: of a limit, and of no use, such as 503
	answered           map[string]bool      // addresses that got an answer of a gateway
}

// addressClient returns a client whose connections come from an address of loopback.
func addressClient(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: dialer.DialContext, DisableCompression: true}}
}

// startAttack starts the guesses. stop ends them.
func (l *loginLimits) startAttack(url string) *attack {
	a := &attack{loginLimits: l, url: url, began: time.Now(), sent: map[string]time.Time{}, answered: map[string]bool{}}
	for w := range attackWorkers {
		a.wg.Go(func() {
			clients := map[string]*http.Client{}
			for i := w; i < attackNetworks; i += attackWorkers {
				address := fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250)
				clients[address] = addressClient(address)
			}
			for n := 0; !a.stopped.Load(); n++ {
				for address, client := range clients {
					a.guess(client, address, n)
				}
			}
			for _, client := range clients {
				client.CloseIdleConnections()
			}
		})
	}
	return a
}

// stop ends the guesses and waits until the last one is answered.
func (a *attack) stop() {
	a.stopped.Store(true)
	a.wg.Wait()
}

// guess sends the n-th guess from an address.
func (a *attack) guess(client *http.Client, address string, n int) {
	password := fmt.Sprintf("guess-%d-from-%s", n, address)
	a.mu.Lock()
	a.sent[password] = time.Now()
	a.mu.Unlock()
	resp := sendAttempt(client, a.url, attempt{password: password}, "")
	a.mu.Lock()
	defer a.mu.Unlock()
	switch resp.Status {
	case http.StatusBadRequest:
		a.answered[address] = true
	case http.StatusTooManyRequests:
		a.answered[address] = true
		a.throttled++
		if _, err := throttledAnswer(resp); err != nil {
			a.Errorf("guess: %v", err)
		}
	case 0, http.StatusServiceUnavailable:
		a.refused++
	default:
		a.Errorf("guess: got status %d, body %s; want 400 or 429", resp.Status, resp.Body)
	}
}

// allowed returns how many guesses can have been compared by now at most.
func (a *attack) allowed() (n int) {
	n = attackBudget
	wait := firstWait
	for left := time.Since(a.began) - wait; left >= 0; left -= wait {
		n++
		wait = min(2*wait, longestWait)
	}
	return n
}

// TestC85LoginLimits lets 1,000 networks guess one password through HAProxy and four
// gateways. The user source gets no more guesses than the limit allows. Meanwhile the owner
// logs in from a known device each time, and learns on a new one when to try again.
func TestC85LoginLimits(t *testing.T) {
	t.Parallel()
	duration := time.Duration(gatewaytest.RunSize("", 6, 60)) * time.Second
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 4, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": strconv.Itoa(attackBudget)})
	address := freeport.Address(t)
	startHAProxy(t, writeFile(t, "haproxy.cfg", fourGatewaysConfig(t)), address, l.gateways)
	url := "http://" + address
	time.Sleep(recoveryTime)
	owner := addressClient("127.0.200.1")
	defer owner.CloseIdleConnections()
	first := requireStatus(t, http.StatusOK, sendAttempt(owner, url, attempt{}, ""), "login before the attack")
	awaitOutcomes(t, server)

	a := l.startAttack(url)
	defer a.stop()
	poll(t, "the budget is used up", func() bool { return len(l.source.guesses()) >= attackBudget })
	a.checkOwner(owner, first.Header.Get("Device-Token"), duration)
	a.stop()
	t.Logf("%d guesses in %s: %d compared, %d throttled, %d not served", len(a.sent), time.Since(a.began).Round(time.Second), len(l.source.guesses()), a.throttled, a.refused)
	if n, most := len(l.source.guesses()), a.allowed(); n < attackBudget || n > most {
		t.Errorf("the user source got %d guesses, want %d to %d", n, attackBudget, most)
	}
	if len(a.answered) != attackNetworks {
		t.Errorf("%d networks got an answer, want %d", len(a.answered), attackNetworks)
	}
	if gatewaytest.RunSize("", 0, 1) == 1 {
		a.checkWaited(owner)
	}
}

// checkOwner logs in from the known device until duration is over, and once from a new one.
func (a *attack) checkOwner(owner *http.Client, device string, duration time.Duration) {
	a.Helper()
	if device == "" {
		a.Fatal("login: the answer has no Device-Token")
	}
	begin := time.Now()
	for i := range ownerLogins {
		time.Sleep(time.Until(begin.Add(duration * time.Duration(i) / ownerLogins)))
		resp := requireStatus(a.T, http.StatusOK, sendAttempt(owner, a.url, attempt{device: device}, ""), fmt.Sprintf("login %d from the known device", i))
		if device = resp.Header.Get("Device-Token"); device == "" {
			a.Fatalf("login %d from the known device: the answer has no Device-Token", i)
		}
		if i == ownerLogins/4 {
			a.checkNewDevice()
		}
	}
}

// checkNewDevice checks the answer to the owner on a new device, before the first wait is
// over.
func (a *attack) checkNewDevice() {
	a.Helper()
	client := addressClient("127.0.200.2")
	defer client.CloseIdleConnections()
	sent := time.Now()
	resp := sendAttempt(client, a.url, attempt{}, "")
	answered := time.Now()
	guesses := a.source.guesses()
	last := guesses[attackBudget-1]
	if len(guesses) > attackBudget || answered.Sub(a.began) > firstWait {
		a.Fatalf("the new device was answered after %s, want less than %s", answered.Sub(a.began), firstWait)
	}
	retryAfter := a.checkThrottled(resp, "login from a new device")
	a.mu.Lock()
	began := sent // of the guesses that were compared, which need not reach the source in their order
	for _, guess := range guesses {
		if at := a.sent[guess.password]; at.Before(began) {
			began = at
		}
	}
	a.mu.Unlock()
	a.checkTruthful(retryAfter, firstWait, began, last.at, sent, answered, "login from a new device")
}

// checkWaited checks that the owner on a new device gets in after the time that the answer
// gave, now that the attack is over.
func (a *attack) checkWaited(owner *http.Client) {
	a.Helper()
	resp := sendAttempt(owner, a.url, attempt{}, "")
	if resp.Status == http.StatusTooManyRequests {
		time.Sleep(a.checkThrottled(resp, "login from a new device after the attack"))
		resp = sendAttempt(owner, a.url, attempt{}, "")
	}
	requireStatus(a.T, http.StatusOK, resp, "login from a new device after the wait")
}

// TestC85ExactBudget sends 200 guesses more than each limit allows, all at the same time,
// through four gateways. The user source gets exactly as many as the limit allows.
func TestC85ExactBudget(t *testing.T) {
	t.Parallel()
	const budget, more = 20, 200
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 4, server.URL, gatewaytest.Settings{
		"APP_LOGIN_ATTEMPTS": strconv.Itoa(budget), "APP_LOGIN_ATTEMPTS_PER_NETWORK": strconv.Itoa(budget),
	})
	const guesser = "2001:db8:0:1::"
	for name, next := range map[string]func(i int) attempt{
		"one account":     func(i int) attempt { return attempt{password: fmt.Sprintf("wrong-%d", i)} },
		"an unknown name": func(i int) attempt { return attempt{username: "unknown", password: fmt.Sprintf("wrong-%d", i)} },
		"one IPv4 address": func(i int) attempt {
			return attempt{username: fmt.Sprintf("v4-%d", i), password: "wrong", address: "192.0.2.1"}
		},
		"one IPv6 network": func(i int) attempt {
			return attempt{username: fmt.Sprintf("v6-%d", i), password: "wrong", address: guesser + strconv.FormatInt(int64(i+1), 16)}
		},
	} {
		before, began := len(l.source.guesses()), time.Now()
		responses := sendConcurrently(budget+more, func(i int) gatewaytest.Response { return l.login(next(i)) })
		rejected := 0
		for _, resp := range responses {
			if resp.Status == http.StatusBadRequest {
				l.checkRejected(resp, name)
				rejected++
				continue
			}
			l.checkThrottled(resp, name)
		}
		want := budget
		if strings.HasPrefix(name, "one IP") {
			want += int(time.Since(began) / (10 * time.Minute / budget)) // those that came back
		}
		if n := len(l.source.guesses()) - before; n < budget || n > want || rejected != n {
			t.Errorf("%s: the user source got %d guesses, and %d were rejected; want %d", name, n, rejected, want)
		}
	}
	l.checkThrottled(l.login(attempt{}), "login of the account with the right password")
	l.checkThrottled(l.login(attempt{username: "unknown"}), "login of the unknown name")
	for _, inside := range []string{"192.0.2.1", "::ffff:192.0.2.1", guesser + "ffff:1"} {
		l.checkThrottled(l.login(attempt{username: "user1", address: inside}), "login with the right password from "+inside)
	}
	for _, outside := range []string{"192.0.2.2", "2001:db8:0:2::1", "2001:db8:1:1::1"} {
		requireStatus(t, http.StatusOK, l.login(attempt{username: "user1", address: outside}), "login from "+outside)
	}
}

// TestC85ManyNames tries one password on many names from one network. The user source gets
// no more of them than the limit of the network allows, and another network is unaffected.
func TestC85ManyNames(t *testing.T) {
	t.Parallel()
	const budget, interval = 300, 2 * time.Second // the default
	names, workers := gatewaytest.RunSize("", 1000, 100_000), gatewaytest.RunSize("", 200, 2000)
	l := startLoginLimits(t, 4, redistest.Standalone(t).URL, gatewaytest.Settings{"LOG_LEVEL": "error"})
	var next, throttled atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(names); i = next.Add(1) {
				address := "2001:db8:0:1::" + strconv.FormatInt(i%65535+1, 16)
				resp := l.login(attempt{username: fmt.Sprintf("name-%d", i), password: "a-common-password", address: address})
				if resp.Status == http.StatusTooManyRequests {
					throttled.Add(1)
				} else if resp.Status != http.StatusBadRequest {
					t.Errorf("login %d: got status %d, body %s, error %v; want 400 or 429", i, resp.Status, resp.Body, resp.Err)
				}
			}
		})
	}
	poll(t, "the budget is used up", func() bool { return len(l.source.guesses()) >= budget })
	requireStatus(t, http.StatusOK, l.login(attempt{}), "login from another network")
	wg.Wait()
	n, most := len(l.source.guesses()), budget+int(time.Since(began)/interval)
	t.Logf("%d names in %s: %d compared, %d throttled", names, time.Since(began).Round(time.Second), n, throttled.Load())
	if n < budget || n > most || int(throttled.Load()) != names-n {
		t.Errorf("the user source got %d guesses, and %d logins were throttled; want %d to %d guesses of %d", n, throttled.Load(), budget, most, names)
	}
}
