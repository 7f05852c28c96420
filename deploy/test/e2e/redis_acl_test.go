package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// neededCommands are the commands that a gateway and its scripts run on a single server.
var neededCommands = strings.Fields(`evalsha eval time get set del unlink
	hget hset hmget hgetall hdel sadd srem smembers
	zadd zrem zcard zcount zscore zrange zrevrange zrangebyscore zrevrangebyscore zremrangebyrank
	pexpire pexpireat xadd xrange publish subscribe ping info`)

// TestNeededCommandsAreDocumented checks that operations.md grants the rights that
// TestRestrictedUser tests.
func TestNeededCommandsAreDocumented(t *testing.T) {
	document, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(document), "ACL SETUSER tokengate ")
	_, rest, _ = strings.Cut(rest, "-@all")
	rights, _, _ := strings.Cut(rest, "\n\n")
	listed := strings.Fields(strings.NewReplacer("\\", "", "+", "").Replace(rights))
	slices.Sort(listed)
	if needed := slices.Sorted(slices.Values(neededCommands)); !slices.Equal(listed, needed) {
		t.Errorf("operations.md: got the commands\n%q, want\n%q", listed, needed)
	}
}

// TestRestrictedUser checks that a gateway and the commands need no more rights than
// neededCommands on the keys and channels of the prefix, and that they use all of them.
func TestRestrictedUser(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	server.Do("CONFIG", "RESETSTAT") // redistest waited for the server with PING
	redisURL := addRestrictedUser(t, server, "gate", neededCommands)
	prefix := "TOKENGATE_REDIS_PREFIX=gate"
	runEveryCommand(t, newCommandEnv(redisURL, prefix))
	g := gatewaytest.Start(t, redisURL, gatewaytest.Settings{"REDIS_PREFIX": "gate"})
	callEveryEndpoint(t, g)
	for range 6 {
		requireStatus(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", "until one is evicted"), "login")
	}
	requireStatus(t, http.StatusOK, sendAdmin(t, g, http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions"), "revoke the app's sessions")
	gatewaytest.WaitUntil(t, 10*time.Second, "the gateway has checked its idle subscription with PING", func() bool { return commandCalls(t, server, "ping") > 0 })
	checkNothingDenied(t, server)
	for _, name := range neededCommands {
		if commandCalls(t, server, name) == 0 {
			t.Errorf("%s is allowed but never used", name)
		}
	}
	other := addRestrictedUser(t, server, "other", neededCommands)
	if code, output := newCommandEnv(other, prefix).run(t, "", "check"); code == 0 || !strings.Contains(output, "NOPERM") {
		t.Errorf("check with a Redis user of another prefix: got exit code %d, output %s; want NOPERM", code, output)
	}
}

// runEveryCommand runs the commands that use Redis, and one import that fails because the
// username is taken.
func runEveryCommand(t *testing.T, env commandEnv) {
	t.Helper()
	renamed := writeFile(t, "users.json", []byte(`[{"id": 7, "username": "alicia", "password": "!"}]`))
	for _, args := range [][]string{
		{"check"}, {"user", "add", "--app", gatewaytest.App, "alice", "--id", "7"}, {"user", "passwd", "--app", gatewaytest.App, "alice"},
		{"user", "disable", "--app", gatewaytest.App, "alice"}, {"user", "import", "--app", gatewaytest.App, renamed},
		{"user", "list", "--app", gatewaytest.App}, {"sessions", "list", "--app", gatewaytest.App, "--user", "7"},
		{"user", "add", "bob", "--app", gatewaytest.App, "--integer-id"}, {"user", "show", "--app", gatewaytest.App, "bob"}, {"user", "remove", "--app", gatewaytest.App, "bob"},
	} {
		if code, output := env.run(t, "password\n", args...); code != 0 {
			t.Errorf("%q: got exit code %d, output %s; want 0", args, code, output)
		}
	}
	taken := writeFile(t, "users.json", []byte(`[{"id": 8, "username": "alicia", "password": "!"}]`))
	if code, output := env.run(t, "", "user", "import", "--app", gatewaytest.App, taken); code == 0 || !strings.Contains(output, "user_exists") {
		t.Errorf("import of a username that is taken: got exit code %d, output %s; want user_exists", code, output)
	}
}

// TestRestrictedUserInOtherTopologies checks that a Cluster, waiting for replicas, and a
// database other than 0 need one more command each, and that "check" fails without it.
// Sentinel itself needs none.
func TestRestrictedUserInOtherTopologies(t *testing.T) {
	t.Parallel()
	cluster, sentinel, standalone := redistest.Cluster(t, 3), redistest.Sentinel(t), redistest.Standalone(t)
	for _, c := range []struct {
		redisURL, command string
		nodes             []*redistest.Server
		settings          gatewaytest.Settings
	}{
		{cluster.URL, "cluster|slots", cluster.Nodes, gatewaytest.Settings{"REDIS_PREFIX": "gate"}},
		{sentinel.URL, "wait", []*redistest.Server{sentinel.Primary, sentinel.Replica}, gatewaytest.Settings{"REDIS_PREFIX": "gate", "REDIS_WAIT_REPLICAS": "1"}},
		{standalone.URL + "/1", "select", []*redistest.Server{standalone}, gatewaytest.Settings{"REDIS_PREFIX": "gate"}},
	} {
		for _, node := range c.nodes {
			addRestrictedUser(t, node, "gate", slices.Concat(neededCommands, []string{c.command}))
		}
		redisURL := strings.Replace(c.redisURL, "://", "://gate:secret-of-gate@", 1)
		g := gatewaytest.Start(t, redisURL, c.settings)
		callEveryEndpoint(t, g)
		if resp := g.Client().Login(t.Context(), 0, "LONG", "x"); c.command == "wait" && resp.Header.Get("Durability") != "replicated" {
			t.Errorf("login: got durability %q, want replicated", resp.Header.Get("Durability"))
		}
		for _, node := range c.nodes {
			checkNothingDenied(t, node)
		}
		command, _, _ := strings.Cut(c.command, "|") // Redis 6.2 counts, removes and names no subcommands
		if !slices.ContainsFunc(c.nodes, func(node *redistest.Server) bool {
			return commandCalls(t, node, c.command)+commandCalls(t, node, command) > 0
		}) {
			t.Errorf("%s is allowed but never used", c.command)
		}
		env := newCommandEnv(redisURL)
		for name, value := range c.settings {
			env = env.with("TOKENGATE_" + name + "=" + value)
		}
		if code, output := env.run(t, "", "check"); code != 0 {
			t.Errorf("check: got exit code %d, output %s; want 0", code, output)
		}
		for _, node := range c.nodes {
			node.Do("ACL", "SETUSER", "gate", "-"+command)
		}
		if code, output := env.run(t, "", "check"); code == 0 || !strings.Contains(output, "'"+c.command+"'") && !strings.Contains(output, "'"+command+"'") {
			t.Errorf("check without the right to %[1]s: got exit code %[2]d, output %[3]s; want an error with '%[1]s'", c.command, code, output)
		}
	}
}

// checkNothingDenied checks that the server has denied no command, key or channel.
func checkNothingDenied(t *testing.T, server *redistest.Server) {
	t.Helper()
	if log := server.Do("ACL", "LOG"); log != "" {
		t.Errorf("ACL LOG: got\n%s\nwant nothing", log)
	}
}

// addRestrictedUser adds a Redis user that may run commands on the keys and channels of a
// prefix. The prefix is also the user's name. It returns a URL with the user's password.
func addRestrictedUser(t *testing.T, server *redistest.Server, prefix string, commands []string) (redisURL string) {
	t.Helper()
	rules := []string{"ACL", "SETUSER", prefix, "on", ">secret-of-" + prefix, "resetchannels", "&" + prefix + ":*", "~" + prefix + ":*", "-@all"}
	for _, name := range commands {
		rules = append(rules, "+"+name)
	}
	if reply := server.Do(rules...); reply != "OK" {
		t.Fatalf("ACL SETUSER: got %q, want OK", reply)
	}
	return fmt.Sprintf("redis://%[1]s:secret-of-%[1]s@%[2]s", prefix, server.Addr)
}
