package proofs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
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
