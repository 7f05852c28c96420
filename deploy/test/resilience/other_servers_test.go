package resilience

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// otherServersTests are the arguments of each `go test` that TestOtherServers runs.
var otherServersTests = [][]string{
	{"./redisstore/..."},
	{"./deploy/test/e2e", "-run", "^(TestEveryTopology|TestRestrictedUser.*|TestMissingRight|TestStartOnUnusableRedis)$"},
	{"./deploy/test/resilience", "-run", "^(TestHistories|TestRevocationsSurvive.*)$"},
}

// TestOtherServers runs the tests that depend most on the server, and a short history, with the servers in each
// directory of the list TOKENGATE_TEST_SERVERS. Without the variable there is nothing to run: every test uses
// the machine's own servers.
func TestOtherServers(t *testing.T) {
	for _, dir := range filepath.SplitList(os.Getenv("TOKENGATE_TEST_SERVERS")) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			run(t, exec.Command(filepath.Join(otherServers(t, dir), "redis-server"), "--version"))
			for _, args := range otherServersTests {
				t.Run(args[0], func(t *testing.T) { testWith(t, dir, args...) })
			}
		})
	}
}

// TestOtherServersAreUsed checks that the servers of a directory run in place of the machine's own, under the names
// of Redis and of Valkey.
func TestOtherServersAreUsed(t *testing.T) {
	own, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		dir := t.TempDir()
		script := "#!/bin/sh\n: >" + filepath.Join(dir, "used") + "\nexec " + own + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		testWith(t, dir, "./redisstore/redistest", "-run", "^TestStandalone$")
		if _, err := os.Stat(filepath.Join(dir, "used")); err != nil {
			t.Errorf("%s was not started: %v", name, err)
		}
	}
}

// testWith runs `go test` with the servers of a directory.
func testWith(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"test", "-count=1", "-timeout=20m"}, args...)...)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "PATH="+otherServers(t, dir)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if output := run(t, cmd); strings.Contains(output, "no tests to run") {
		t.Errorf("%s: no test has this name", strings.Join(args, " "))
	}
}

// otherServers returns a directory in which the server of another one has the name that the tests start, also
// for Sentinels.
func otherServers(t *testing.T, dir string) string {
	t.Helper()
	server := filepath.Join(dir, "redis-server")
	if _, err := os.Stat(server); err != nil {
		server = filepath.Join(dir, "valkey-server")
	}
	if _, err := os.Stat(server); err != nil || !filepath.IsAbs(dir) {
		t.Fatalf("%q: give the absolute path of a directory with redis-server or valkey-server", dir)
	}
	links := t.TempDir()
	if err := os.Symlink(server, filepath.Join(links, "redis-server")); err != nil {
		t.Fatal(err)
	}
	return links
}

// run runs a command, and logs and returns its output. If the command fails, the test fails.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	t.Logf("%s", output)
	return string(output)
}
