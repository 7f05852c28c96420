package proofs

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
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// scale is the size of a run: TOKENGATE_<name>, else full or quick.
func scale(name string, quick, full int) int {
	if n, err := strconv.Atoi(os.Getenv("TOKENGATE_" + name)); err == nil {
		return n
	}
	if os.Getenv("TOKENGATE_FULL") != "" {
		return full
	}
	return quick
}

// unlimited lets a user have any number of sessions. A log of errors only
// keeps the processes' output small.
var unlimited = rig.Settings{
	"LOG_LEVEL": "error",
	"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS":  "false",
	"APP_SHORT_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false",
	"APP_LONG_SESSION_RETRY_WINDOW":                    "300s",
	"APP_SHORT_SESSION_RETRY_WINDOW":                   "300s",
}

// with gives settings with others on top.
func with(base, more rig.Settings) rig.Settings {
	out := maps.Clone(base)
	maps.Copy(out, more)
	return out
}

// gateways starts n processes over one Redis.
func gateways(t testing.TB, n int, url string, s rig.Settings) []*rig.Gateway {
	t.Helper()
	all := make([]*rig.Gateway, n)
	for i := range all {
		all[i] = rig.Start(t, url, s)
	}
	return all
}

func clients(all []*rig.Gateway) []*rig.Client {
	out := make([]*rig.Client, len(all))
	for i, g := range all {
		out[i] = g.Client()
	}
	return out
}

// passwordHash is that of rig.Password, of one round.
const passwordHash = "pbkdf2_sha256$1$rig$CTyNEAPqArTfSXstL5fvCpR35FzX8/AceGUqEcWhGY0="

// userFile makes a file of n users such as the rig's and gives the setting that
// names it. The user called rig.Username(i) has the id i+1.
func userFile(t testing.TB, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%c{"id":%d,"username":%q,"password":%q,"is_active":true}`, "[,"[min(i, 1)], i+1, rig.Username(i), passwordHash)
	}
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(b.String()+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// claims is what a refresh token says, as far as tests want to know.
type claims struct {
	Session    session.ID `json:"sid"`
	Generation uint32     `json:"gen"`
	JTI        string     `json:"jti"`
	Expires    int64      `json:"exp"`
}

func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(raw, &c) // a token that isn't one has no claims
	}
	return c
}

// quantile gives a value below which a share of values lies; it sorts them.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(share*float64(len(values))))]
}

// eventually waits until done says so, and fails the test after limit.
func eventually(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// metrics reads what a gateway counts: the value of every series by its name
// and labels.
func metrics(t testing.TB, g *rig.Gateway) map[string]float64 {
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

// stepsOf is how many of a gateway's steps came to a word.
func stepsOf(t testing.TB, g *rig.Gateway, code session.Code) int {
	t.Helper()
	n := 0
	for series, value := range metrics(t, g) {
		if strings.HasPrefix(series, "tokengate_steps_total{") && strings.Contains(series, fmt.Sprintf("code=%q", code)) {
			n += int(value)
		}
	}
	return n
}

// bucketKeys is what every key of the i-th user's bucket begins with, and so
// the schema of package redisstore in the eyes of somebody else.
func bucketKeys(user int) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strconv.Itoa(user + 1)))
	return fmt.Sprintf("tg:{%s:%02x}:", rig.App, h.Sum32()%64)
}

// keyOf gives a key of the i-th user: name is LONG, SHORT, gone, data:LONG, …
func keyOf(user int, name string) string {
	return bucketKeys(user) + name + ":" + strconv.Itoa(user+1)
}

// entry is one ending in the outbox.
type entry struct {
	cause, by, app, user string
	ids                  []string
}

// outbox reads the endings of the i-th user in their order.
func outbox(s *redistest.Server, user int) (entries []entry) {
	for _, e := range allEndings(s, bucketKeys(user)+"endings") {
		if e.user == strconv.Itoa(user+1) {
			entries = append(entries, e)
		}
	}
	return entries
}

func allEndings(s *redistest.Server, stream string) (entries []entry) {
	for line := range strings.Lines(s.Do("XRANGE", stream, "-", "+")) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 6)
		if len(f) == 6 {
			entries = append(entries, entry{cause: f[1], by: f[2], ids: strings.Split(f[3], ","), app: f[4], user: f[5]})
		}
	}
	return entries
}
