package e2e

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// requireStatus stops the test unless resp has the status. It returns resp.
func requireStatus(tb testing.TB, status int, resp gatewaytest.Response, step string) gatewaytest.Response {
	tb.Helper()
	if resp.Status != status {
		tb.Fatalf("%s: got status %d, body %s, error %v; want status %d", step, resp.Status, resp.Body, resp.Err, status)
	}
	return resp
}

// checkUnauthorized checks that resp is a 401 with this code and cause.
func checkUnauthorized(tb testing.TB, resp gatewaytest.Response, code, cause, step string) {
	tb.Helper()
	requireStatus(tb, http.StatusUnauthorized, resp, step)
	if resp.Code != code || resp.Cause != cause {
		tb.Errorf("%s: got code %q and cause %q, want %q and %q", step, resp.Code, resp.Cause, code, cause)
	}
}

// rounds returns the number of rounds of a race test: TOKENGATE_ROUNDS or the default.
func rounds(tb testing.TB, byDefault int) int {
	text := os.Getenv("TOKENGATE_ROUNDS")
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	must(tb, err)
	return n
}

// startTwoGateways starts two gateways that share a Redis server.
func startTwoGateways(tb testing.TB, server *redistest.Server, settings gatewaytest.Settings) [2]*gatewaytest.Gateway {
	tb.Helper()
	return [2]*gatewaytest.Gateway{gatewaytest.Start(tb, server.URL, settings), gatewaytest.Start(tb, server.URL, settings)}
}

// sendConcurrently calls send(0) to send(n-1) at the same time. It returns the responses
// in the order of their numbers.
func sendConcurrently(n int, send func(i int) gatewaytest.Response) []gatewaytest.Response {
	responses, start, done := make([]gatewaytest.Response, n), make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			<-start
			responses[i] = send(i)
			done <- struct{}{}
		}()
	}
	close(start)
	for range n {
		<-done
	}
	return responses
}

// sendAdmin sends a request to the admin API.
func sendAdmin(tb testing.TB, g *gatewaytest.Gateway, method, path string) gatewaytest.Response {
	tb.Helper()
	req, err := http.NewRequest(method, g.AdminURL+path, nil)
	must(tb, err)
	req.Header.Set("Authorization", "Bearer "+gatewaytest.AdminToken)
	return gatewaytest.NewClient(g.AdminURL).Do(req)
}

// writeFile writes a file into a new temporary directory and returns its path.
func writeFile(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	must(tb, os.WriteFile(path, content, 0o600))
	return path
}

// redisInt runs a command whose reply is an integer.
func redisInt(tb testing.TB, server *redistest.Server, args ...string) int64 {
	tb.Helper()
	reply := server.Do(args...)
	n, err := strconv.ParseInt(reply, 10, 64)
	if err != nil {
		tb.Errorf("%q: got the reply %q, want an integer", args, reply)
	}
	return n
}

// redisKeys returns the keys that match a pattern.
func redisKeys(server *redistest.Server, pattern string) []string {
	return strings.Fields(server.Do("KEYS", pattern))
}

// commandCalls returns how often clients and scripts have run a command.
func commandCalls(tb testing.TB, server *redistest.Server, command string) int {
	tb.Helper()
	_, rest, found := strings.Cut(server.Do("INFO", "commandstats"), "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	count, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(count)
	must(tb, err)
	return n
}

// appPrefix is the prefix of the settings of gatewaytest.App.
var appPrefix = "TOKENGATE_APP_" + strings.ToUpper(gatewaytest.App) + "_"

// commandEnv is the environment of the program's commands.
type commandEnv []string

// newCommandEnv returns an environment with gatewaytest.App, whose users are in Redis,
// and more settings, each NAME=value.
func newCommandEnv(redisURL string, settings ...string) commandEnv {
	return commandEnv{
		"TOKENGATE_REDIS_URL=" + redisURL, "TOKENGATE_APPS=" + gatewaytest.App, appPrefix + "USERS=redis:",
		appPrefix + "SECRET_KEY=" + gatewaytest.Secret, appPrefix + "SIGNING_KEY=" + gatewaytest.SigningKey,
	}.with(settings...)
}

// with returns a copy of e with more settings. A later setting overrides an earlier one.
func (e commandEnv) with(settings ...string) commandEnv {
	return slices.Concat(e, commandEnv(settings))
}

// run runs a command and returns its exit code and everything that it printed.
func (e commandEnv) run(tb testing.TB, stdin string, args ...string) (code int, output string) {
	tb.Helper()
	cmd := exec.Command(gatewaytest.Binary(tb), args...)
	cmd.Env, cmd.Stdin = e, strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}
