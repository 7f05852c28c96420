package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// passwordSource is an HTTP user source that remembers each password that it gets. It has
// the users user0 to user63, whose password is gatewaytest.Password.
type passwordSource struct {
	url  string
	fail atomic.Bool // it answers 500

	mu       sync.Mutex
	compared []comparison
}

// comparison is one password that a passwordSource got.
type comparison struct {
	username, password string
	at                 time.Time
}

func startPasswordSource(t *testing.T) *passwordSource {
	t.Helper()
	s := &passwordSource{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// ServeHTTP implements [http.Handler].
func (s *passwordSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var login struct{ Username, Password string }
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&login) != nil {
		return // the program asks whether the source answers
	}
	s.mu.Lock()
	s.compared = append(s.compared, comparison{login.Username, login.Password, time.Now()})
	s.mu.Unlock()
	var i int
	if _, err := fmt.Sscanf(login.Username, "user%d", &i); s.fail.Load() {
		w.WriteHeader(http.StatusInternalServerError)
	} else if err != nil || i >= gatewaytest.Users || login.Username != gatewaytest.Username(i) || login.Password != gatewaytest.Password {
		w.WriteHeader(http.StatusUnauthorized)
	} else {
		_, _ = fmt.Fprintf(w, `{"user_id":%d}`, i+1)
	}
}

// guesses returns the wrong passwords that the source got so far, in their order.
func (s *passwordSource) guesses() (wrong []comparison) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.compared {
		if c.password != gatewaytest.Password {
			wrong = append(wrong, c)
		}
	}
	return wrong
}

// comparisons returns how many passwords the source got so far, right and wrong ones.
func (s *passwordSource) comparisons() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.compared)
}

// loginLimits is a number of gateways over one Redis server, which take the address of a
// client from X-Forwarded-For.
type loginLimits struct {
	*testing.T
	source   *passwordSource // nil if the users are elsewhere
	gateways []*gatewaytest.Gateway
	http     *http.Client
	turn     atomic.Int64
	number   atomic.Int64
}

// startLoginLimits starts gateways whose users are in a passwordSource, unless settings say
// otherwise.
func startLoginLimits(t *testing.T, n int, redisURL string, settings gatewaytest.Settings) *loginLimits {
	t.Helper()
	l := &loginLimits{T: t, http: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true},
	}}
	t.Cleanup(l.http.CloseIdleConnections)
	all := gatewaytest.Settings{"TRUSTED_PROXIES": "127.0.0.1/32"}
	if settings["APP_USERS"] == "" {
		l.source = startPasswordSource(t)
		all["APP_USERS"] = l.source.url
	}
	maps.Copy(all, settings)
	for range n {
		l.gateways = append(l.gateways, gatewaytest.Start(t, redisURL, all))
	}
	return l
}

// startOneLoginLimits starts one gateway over a Redis server of its own, with this limit of
// failures in a row.
func startOneLoginLimits(t *testing.T, attempts int, more gatewaytest.Settings) *loginLimits {
	t.Helper()
	settings := gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": strconv.Itoa(attempts)}
	maps.Copy(settings, more)
	return startLoginLimits(t, 1, redistest.Standalone(t).URL, settings)
}

// attempt is one login. An empty field has the value in its comment.
type attempt struct {
	username    string // user0
	password    string // gatewaytest.Password
	sessionType string // LONG
	secret      string // gatewaytest.Secret
	address     string // of the client; one of a network of its own
	device      string // Device-Token; not sent
}

// login sends a login to the next gateway. It may be called concurrently.
func (l *loginLimits) login(a attempt) gatewaytest.Response {
	g := l.gateways[int(l.turn.Add(1))%len(l.gateways)]
	return sendAttempt(l.http, g.URL, a, l.address(a))
}

// address returns the address of the client that sends a.
func (l *loginLimits) address(a attempt) string {
	if a.address != "" {
		return a.address
	}
	n := l.number.Add(1)
	return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

// sendAttempt sends a login. If forwardedFor is not empty, it is sent as X-Forwarded-For.
func sendAttempt(client *http.Client, url string, a attempt, forwardedFor string) gatewaytest.Response {
	body, err := json.Marshal(map[string]string{
		"username": cmp.Or(a.username, gatewaytest.Username(0)), "password": cmp.Or(a.password, gatewaytest.Password),
		"secret_key": cmp.Or(a.secret, gatewaytest.Secret), "session": cmp.Or(a.sessionType, "LONG"), "info": "a phone",
	})
	if err != nil {
		return gatewaytest.Response{Err: err}
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/api/session/login/", bytes.NewReader(body))
	if err != nil {
		return gatewaytest.Response{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if forwardedFor != "" {
		req.Header.Set("X-Forwarded-For", forwardedFor)
	}
	if a.device != "" {
		req.Header.Set("Device-Token", a.device)
	}
	return (&gatewaytest.Client{HTTP: client}).Do(req)
}

// device logs in from a new device and returns its token.
func (l *loginLimits) device(a attempt) string {
	l.Helper()
	token := requireStatus(l.T, http.StatusOK, l.login(a), "login from a new device").Header.Get("Device-Token")
	if token == "" {
		l.Fatal("login: the answer has no Device-Token")
	}
	return token
}

// fail sends n logins with wrong passwords, one after the other. Each must be compared.
func (l *loginLimits) fail(n int, a attempt, step string) {
	l.Helper()
	for i := range n {
		a.password = fmt.Sprintf("wrong-password-%d", i)
		l.checkRejected(l.login(a), fmt.Sprintf("%s: wrong login %d", step, i))
	}
}

// checkRejected checks that resp is the answer to a wrong password.
func (l *loginLimits) checkRejected(resp gatewaytest.Response, step string) {
	l.Helper()
	requireStatus(l.T, http.StatusBadRequest, resp, step)
	if resp.Code != "invalid_credentials" {
		l.Errorf("%s: got the body %s, want the code invalid_credentials", step, resp.Body)
	}
}

// checkThrottled checks that resp is the answer of a limit. It returns Retry-After.
func (l *loginLimits) checkThrottled(resp gatewaytest.Response, step string) (retryAfter time.Duration) {
	l.Helper()
	requireStatus(l.T, http.StatusTooManyRequests, resp, step)
	retryAfter, err := throttledAnswer(resp)
	if err != nil {
		l.Errorf("%s: %v", step, err)
	}
	return retryAfter
}

// throttledAnswer returns Retry-After of an answer with status 429, or what is wrong with it.
func throttledAnswer(resp gatewaytest.Response) (retryAfter time.Duration, err error) {
	var body map[string]any
	want := map[string]any{"detail": "Too many logins. Try again later.", "code": "throttled"}
	if json.Unmarshal(resp.Body, &body) != nil || !reflect.DeepEqual(body, want) {
		return 0, fmt.Errorf("got the body %s, want %v", resp.Body, want)
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || resp.Header.Get("Device-Token") != "" {
		return 0, fmt.Errorf("got the headers %v, want Retry-After in seconds and no Device-Token", resp.Header)
	}
	return time.Duration(seconds) * time.Second, nil
}

// checkTruthful checks that Retry-After of a refusal is true: at its end an attempt is
// allowed, and not much earlier. The wait began between two moments, and the refused login
// was sent and answered at two others.
func (l *loginLimits) checkTruthful(retryAfter, wait time.Duration, began, begun, sent, answered time.Time, step string) {
	l.Helper()
	const precision = 100 * time.Millisecond // between the clocks of Redis and of this test
	least, most := began.Add(wait).Sub(answered), begun.Add(wait).Sub(sent)+time.Second
	if retryAfter > wait || retryAfter > most+precision || retryAfter < least-precision {
		l.Errorf("%s: got Retry-After %s, want %s to %s", step, retryAfter, least, min(most, wait))
	}
}

// awaitOutcomes waits until Redis has run no step for a while. The gateways report the
// outcome of a login after its answer.
func awaitOutcomes(t *testing.T, server *redistest.Server) {
	t.Helper()
	calls := func() int {
		return commandCalls(t, server, "evalsha") + commandCalls(t, server, "eval") + commandCalls(t, server, "fcall")
	}
	same, last := 0, calls()
	poll(t, "Redis runs no steps", func() bool {
		now := calls()
		if same++; now != last {
			same, last = 0, now
		}
		return same >= 20
	})
}
