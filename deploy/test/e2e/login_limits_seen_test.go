package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// refusals is an entry of the admin API's list of attacks.
type refusals struct {
	Limit string `json:"limit"`
	Key   string `json:"key"`
	Count int    `json:"count"`
}

// TestC85AttacksAreSeen causes refusals by each limit, through two gateways. The metrics, the
// admin API and the command attacks have the same figures, and the log names the same account
// and network. None of them has the name of the user.
func TestC85AttacksAreSeen(t *testing.T) {
	t.Parallel()
	const limit = 3
	const address = "192.0.2.9"
	server := redistest.Standalone(t)
	settings := gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "3", "APP_LOGIN_ATTEMPTS_PER_NETWORK": "3", "ADMIN_TOKEN": adminToken}
	l := startLoginLimits(t, 2, server.URL, settings)
	device := l.device(attempt{username: "user2"})
	awaitOutcomes(t, server)
	l.fail(limit, attempt{}, "user0")
	l.fail(limit, attempt{username: "user1"}, "user1")
	l.fail(limit, attempt{username: "user2", device: device}, "known device")
	for i := range limit {
		l.fail(1, attempt{username: fmt.Sprintf("name-%d", i), address: address}, "one network")
	}
	refuse := func(n int, a attempt) {
		t.Helper()
		responses := sendConcurrently(n, func(i int) gatewaytest.Response {
			next := a
			if a.address != "" { // until the network refuses them, attempts at the same time use the budget of their account
				next.username = gatewaytest.Username(10 + i)
			}
			return l.login(next)
		})
		for _, resp := range responses {
			l.checkThrottled(resp, "login at the limit")
		}
	}
	refuse(9, attempt{})
	refuse(7, attempt{username: "user2", device: device})
	refuse(5, attempt{address: address})
	refuse(2, attempt{username: "user1"})

	list := l.waitForAttacks([]refusals{{Limit: "account", Count: 9}, {Limit: "device", Count: 7}, {Limit: "network", Count: 5}, {Limit: "account", Count: 2}})
	log := l.gateways[0].Log() + l.gateways[1].Log()
	for text, n := range map[string]int{
		"limit=account account=" + list[0].Key: 9, "limit=device account=": 7, "limit=network network=" + address: 5, "limit=account account=" + list[3].Key: 2,
	} {
		if lines := linesOf(log, append(strings.Fields(text), "step=login", "code=throttled", "client=")...); len(lines) != n {
			t.Errorf("got %d lines with %s, want %d", len(lines), text, n)
		}
	}
	for name, want := range map[string]float64{"account": 11, "device": 7, "network": 5} {
		expression := `tokengate_logins_refused_total\{app="` + gatewaytest.App + `",limit="` + name + `"\}`
		if got := l.sumOf(expression); got != want {
			t.Errorf("the metric of the limit %s: got %v refusals, want %v", name, got, want)
		}
	}
	l.checkAttacksCommand(list, newCommandEnv(server.URL, appPrefix+"USERS="+l.source.url))
}

// waitForAttacks waits until the admin API of each gateway lists refusals of these limits,
// with these counts, in this order. It returns the list.
func (l *loginLimits) waitForAttacks(want []refusals) (list []refusals) {
	l.Helper()
	const path = "/admin/apps/" + gatewaytest.App + "/attacks"
	for _, g := range l.gateways {
		var resp gatewaytest.Response
		defer func() {
			if l.Failed() {
				l.Logf("the admin API has answered %s", resp.Body)
			}
		}()
		poll(l.T, fmt.Sprintf("the admin API lists %v", want), func() bool {
			resp = requireStatus(l.T, http.StatusOK, sendAsAdmin(l.T, g, http.MethodGet, path), "list of attacks")
			var body struct{ Refusals []refusals }
			must(l.T, json.Unmarshal(resp.Body, &body))
			list = body.Refusals
			return slices.EqualFunc(list, want, func(a, b refusals) bool { return a.Limit == b.Limit && a.Count == b.Count })
		})
		for _, r := range list {
			if r.Key == "" || strings.Contains(r.Key, "user") {
				l.Errorf("the list of attacks has the key %q, want a keyed hash or a network", r.Key)
			}
		}
		requireStatus(l.T, http.StatusUnauthorized, sendWithHeader(l.T, gatewaytest.NewClient(g.AdminURL), http.MethodGet, path, "Accept", "*/*"), "list of attacks without a token")
		requireStatus(l.T, http.StatusNotFound, sendAsAdmin(l.T, g, http.MethodGet, "/admin/apps/unknown/attacks"), "list of attacks on an unknown app")
	}
	return list
}

// sumOf adds up a metric of all gateways.
func (l *loginLimits) sumOf(expression string) (sum float64) {
	l.Helper()
	for _, g := range l.gateways {
		sum += metric(l.T, g, expression)
	}
	return sum
}

// checkAttacksCommand checks that the command prints the entries of the admin API, each in a
// line, and with a name only that of its account.
func (l *loginLimits) checkAttacksCommand(list []refusals, env commandEnv) {
	l.Helper()
	code, output := env.run(l.T, "", "attacks", "--app", gatewaytest.App)
	from := 0
	for _, r := range list {
		lines := linesOf(output, r.Key, fmt.Sprint(r.Count), r.Limit)
		if len(lines) != 1 || code != 0 {
			l.Errorf("attacks: got exit code %d, output\n%s\nwant 0 and one line with %v", code, output, r)
			continue
		}
		at := strings.Index(output, lines[0])
		if at < from {
			l.Errorf("attacks: got the output\n%s\nwant the entries in the order %v", output, list)
		}
		from = at
	}
	if strings.Contains(output, "user0") {
		l.Errorf("attacks: got the output\n%s\nwant no name in it", output)
	}
	for name, own := range map[string]refusals{"user0": list[0], "user1": list[3], " user0 ": list[0]} {
		code, output := env.run(l.T, "", "attacks", "--app", gatewaytest.App, "--name", name)
		others := slices.DeleteFunc(slices.Clone(list), func(r refusals) bool { return r == own })
		foreign := slices.ContainsFunc(others, func(r refusals) bool { return strings.Contains(output, r.Key) })
		if code != 0 || foreign || len(linesOf(output, own.Key, fmt.Sprint(own.Count))) != 1 {
			l.Errorf("attacks --name %q: got exit code %d, output\n%s\nwant 0 and only the line of %v", name, code, output, own)
		}
	}
	for what, args := range map[string][]string{"unknown app": {"--app", "unknown"}, "no app": nil} {
		if code, output := env.run(l.T, "", append([]string{"attacks"}, args...)...); code == 0 {
			l.Errorf("attacks with %s: got exit code 0, output %s; want an error", what, cmp.Or(output, "nothing"))
		}
	}
}
