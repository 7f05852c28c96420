package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestC86SameAnswers checks that the answers to wrong logins do not depend on whether there is
// such a user, neither before a limit nor at it.
func TestC86SameAnswers(t *testing.T) {
	t.Parallel()
	const limit = 3
	forEachSource(t, func(t *testing.T, source accountSource) {
		source.set(newAccount(t, 7, "ann", oldPassword), newAccount(t, 8, "ben", oldPassword).disabled(), newAccount(t, 9, "cyd", oldPassword).withHash("!"))
		settings := source.settings()
		settings["APP_LOGIN_ATTEMPTS"] = "3"
		l := startLoginLimits(t, 1, redistest.Standalone(t).URL, settings)
		for i := range limit + 2 {
			want := describe(l.login(attempt{username: "unknown", password: "wrong"}))
			for _, name := range []string{"ann", "ben", "cyd", "unknown too"} {
				resp := l.login(attempt{username: name, password: "wrong"})
				if got := describe(resp); got != want {
					t.Errorf("login %d of %s: got the answer\n%s\nwant that to an unknown name\n%s", i, name, got, want)
				}
				if i >= limit {
					l.checkThrottled(resp, "login of "+name+" at the limit")
				}
			}
		}
		for _, name := range []string{"ann", "ben", "cyd", "unknown"} {
			l.checkThrottled(l.login(attempt{username: name, password: oldPassword}), "login of "+name+" with the right password at the limit")
		}
	})
}

// describe returns the status, the headers and the body of a response, but for what differs
// between any two.
func describe(resp gatewaytest.Response) string {
	header := resp.Header.Clone()
	header.Del("Date")
	header.Del("X-Request-Id")
	if header.Get("Retry-After") != "" {
		header.Set("Retry-After", "some seconds")
	}
	text, err := json.Marshal(header)
	return fmt.Sprintf("%d %s %s %v %v", resp.Status, text, resp.Body, resp.Err, err)
}

// The groups of logins whose times are compared. Two groups of a kind show how much times
// differ without a reason. A password that is too long is not compared with a hash: the test
// must see the difference, or it would not see that of a name without a hash either.
const (
	knownNames = iota
	otherKnownNames
	unknownNames
	otherUnknownNames
	longPasswords
	timingGroups
)

// The parameters of the comparison of times. A t of more than 4.5 is taken for a difference, as
// in dudect (Reparaz, Balasch, Verbauwhede: Dude, is my code constant time?).
const (
	timingRuns     = 3
	namesPerGroup  = 100 // so that no account reaches its limit
	significantT   = 4.5
	keptOfTimings  = 0.9 // the longest times are those of other processes
	timingHashCost = "200"
)

// timedName returns a name of a group, as long as any other.
func timedName(run, group, i int) string { return fmt.Sprintf("name-%d-%d-%03d", run, group, i) }

// TestC86SameTime checks that the time of a wrong login does not depend on whether there is
// such a user.
func TestC86SameTime(t *testing.T) {
	var accounts []account
	for run := range timingRuns {
		for _, group := range []int{knownNames, otherKnownNames} {
			for i := range namesPerGroup {
				hash := "pbkdf2_sha256$" + timingHashCost + strings.TrimPrefix(gatewaytest.PasswordHash, "pbkdf2_sha256$1")
				accounts = append(accounts, newAccount(t, len(accounts)+1, timedName(run, group, i), "").withHash(hash))
			}
		}
	}
	t.Run("file", func(t *testing.T) {
		source := &fileSource{t, writeFile(t, "users.json", []byte("[]"))}
		source.set(accounts...)
		checkSameTime(t, startLoginLimits(t, 1, redistest.Standalone(t).URL, source.settings()))
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Standalone(t)
		users, err := json.Marshal(accounts)
		must(t, err)
		if code, output := newCommandEnv(server.URL).run(t, string(users), "user", "import", "--app", gatewaytest.App, "-"); code != 0 {
			t.Fatalf("user import: got exit code %d, output %s; want 0", code, output)
		}
		checkSameTime(t, startLoginLimits(t, 1, server.URL, gatewaytest.Settings{"APP_USERS": "redis:"}))
	})
}

// checkSameTime measures until one run shows no difference. A run in which two groups of the
// same kind differ shows nothing, and neither does one that misses a known difference.
func checkSameTime(t *testing.T, l *loginLimits) {
	t.Helper()
	for run := range timingRuns {
		times := l.measure(run, gatewaytest.RunSize("", 1000, 5000))
		known := slices.Concat(times[knownNames], times[otherKnownNames])
		unknown := slices.Concat(times[unknownNames], times[otherUnknownNames])
		same := max(math.Abs(welch(times[knownNames], times[otherKnownNames])), math.Abs(welch(times[unknownNames], times[otherUnknownNames])))
		seen, between := welch(known, times[longPasswords]), math.Abs(welch(known, unknown))
		t.Logf("run %d: known names %.0f µs, unknown names %.0f µs, t %.2f; within each kind t %.2f; without a comparison %.0f µs, t %.2f",
			run, mean(known), mean(unknown), between, same, mean(times[longPasswords]), seen)
		if between < significantT && same < significantT && seen > significantT {
			return
		}
	}
	t.Errorf("no run has shown that known and unknown names take the same time")
}

// measure sends n logins of each group, in random order, and returns their times in µs
// without the longest of all.
func (l *loginLimits) measure(run, n int) (times [timingGroups][]float64) {
	l.Helper()
	order := make([]int, 0, n*timingGroups)
	for i := range n * timingGroups {
		order = append(order, i)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var all []float64
	for _, i := range order {
		group := i % timingGroups
		a := attempt{username: timedName(run, group, i/timingGroups%namesPerGroup), password: "wrong"}
		if group == longPasswords {
			a.password = strings.Repeat("w", 1025)
		}
		a.address = l.address(a)
		begin := time.Now()
		resp := l.login(a)
		took := float64(time.Since(begin)) / float64(time.Microsecond)
		requireStatus(l.T, http.StatusBadRequest, resp, "login with a wrong password")
		times[group], all = append(times[group], took), append(all, took)
	}
	slices.Sort(all)
	longest := all[int(keptOfTimings*float64(len(all)))]
	for group := range times {
		times[group] = slices.DeleteFunc(times[group], func(took float64) bool { return took > longest })
	}
	return times
}

// welch returns Welch's t of two samples, which is that of x being the larger one if it is
// positive.
func welch(x, y []float64) float64 {
	return (mean(x) - mean(y)) / math.Sqrt(variance(x)/float64(len(x))+variance(y)/float64(len(y)))
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}

func variance(x []float64) (sum float64) {
	m := mean(x)
	for _, v := range x {
		sum += (v - m) * (v - m) / float64(len(x)-1)
	}
	return sum
}
