package resilience

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// unlimitedSettings do not limit a user's sessions and have the longest retry window. Only errors are logged,
// which keeps the output of the processes small.
var unlimitedSettings = gatewaytest.Settings{
	"LOG_LEVEL": "error",
	"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS":  "false",
	"APP_SHORT_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false",
	"APP_LONG_SESSION_RETRY_WINDOW":                    "300s",
	"APP_SHORT_SESSION_RETRY_WINDOW":                   "300s",
}

// merge returns the settings of base and more. Those of more take precedence.
func merge(base, more gatewaytest.Settings) gatewaytest.Settings {
	out := maps.Clone(base)
	maps.Copy(out, more)
	return out
}

// withBound returns unlimitedSettings with a REVOCATION_BOUND.
func withBound(bound time.Duration) gatewaytest.Settings {
	return merge(unlimitedSettings, gatewaytest.Settings{"REVOCATION_BOUND": bound.String()})
}

// startGateways starts n processes over one Redis.
func startGateways(t testing.TB, n int, url string, s gatewaytest.Settings) []*gatewaytest.Gateway {
	t.Helper()
	gateways := make([]*gatewaytest.Gateway, n)
	for i := range gateways {
		gateways[i] = gatewaytest.Start(t, url, s)
	}
	return gateways
}

// clientsOf returns one client of each gateway.
func clientsOf(gateways []*gatewaytest.Gateway) []*gatewaytest.Client {
	clients := make([]*gatewaytest.Client, len(gateways))
	for i, g := range gateways {
		clients[i] = g.Client()
	}
	return clients
}

// forEach calls do(0) to do(n-1) in the given number of goroutines. It returns when all calls have returned.
func forEach(workers, n int, do func(i int)) {
	var done sync.WaitGroup
	for worker := range workers {
		done.Go(func() {
			for i := worker; i < n; i += workers {
				do(i)
			}
		})
	}
	done.Wait()
}

// userFile writes a user file like that of gatewaytest, but with n users, and returns the value of the
// setting APP_USERS. The user with the name gatewaytest.Username(i) has the ID i+1.
func userFile(t testing.TB, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%c{"id":%d,"username":%q,"password":%q,"is_active":true}`, "[,"[min(i, 1)], i+1, gatewaytest.Username(i), gatewaytest.PasswordHash)
	}
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(b.String()+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// claims are those claims of a refresh token that the tests use.
type claims struct {
	Session    session.ID `json:"sid"`
	Generation uint32     `json:"gen"`
	JTI        string     `json:"jti"`
	Expires    int64      `json:"exp"`
}

// claimsOf decodes a token without checking it. If it is not a token, the claims are empty.
func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(raw, &c)
	}
	return c
}

// quantile sorts values and returns the given quantile, where 0 ≤ q ≤ 1.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

// readMetrics returns the value of each of a gateway's series, by the series' name and labels.
func readMetrics(t testing.TB, g *gatewaytest.Gateway) map[string]float64 {
	t.Helper()
	resp, err := http.Get(g.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && lines.Text()[0] != '#' {
			out[lines.Text()[:i]], _ = strconv.ParseFloat(lines.Text()[i+1:], 64)
		}
	}
	return out
}

// countSteps returns how many steps a gateway has counted with a code.
func countSteps(t testing.TB, g *gatewaytest.Gateway, code session.Code) int {
	t.Helper()
	n := 0
	for series, value := range readMetrics(t, g) {
		if strings.HasPrefix(series, "tokengate_steps_total{") && strings.Contains(series, fmt.Sprintf("code=%q", code)) {
			n += int(value)
		}
	}
	return n
}

// bucketPrefix returns the prefix of all keys in the i-th user's bucket. It follows the schema in
// redisstore/keys.go without using that package, as another program would.
func bucketPrefix(user int) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strconv.Itoa(user + 1)))
	return fmt.Sprintf("tg:{%s:%02x}:", gatewaytest.App, h.Sum32()%64)
}

// userKey returns a key of the i-th user. Names are LONG, SHORT, tombstones, data:LONG and so on.
func userKey(user int, name string) string {
	return bucketPrefix(user) + name + ":" + strconv.Itoa(user+1)
}

// outboxEntry is one revocation in an outbox.
type outboxEntry struct {
	cause, by, app, user string
	ids                  []string
}

// userRevocations returns the i-th user's entries in the outbox, oldest first.
func userRevocations(s *redistest.Server, user int) (entries []outboxEntry) {
	for _, e := range readOutbox(s, bucketPrefix(user)+"revocations") {
		if e.user == strconv.Itoa(user+1) {
			entries = append(entries, e)
		}
	}
	return entries
}

// readOutbox returns all entries of one bucket's outbox, oldest first.
func readOutbox(s *redistest.Server, stream string) (entries []outboxEntry) {
	for line := range strings.Lines(s.Do("XRANGE", stream, "-", "+")) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 6)
		if len(f) == 6 {
			entries = append(entries, outboxEntry{cause: f[1], by: f[2], ids: strings.Split(f[3], ","), app: f[4], user: f[5]})
		}
	}
	return entries
}
