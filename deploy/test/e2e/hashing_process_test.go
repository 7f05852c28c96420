package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// TestPasswordsAreHashedInWorkerProcess checks that the gateway hashes passwords in a
// process that has no secrets and a low CPU priority. Logins must succeed when this
// process is killed, and it must exit together with the gateway.
func TestPasswordsAreHashedInWorkerProcess(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, "", gatewaytest.Settings{"SHUTDOWN_DELAY": "0s"})
	login := func(step string) {
		t.Helper()
		requireStatus(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", step), step)
	}
	if pids := children(t, g.PID()); len(pids) != 0 {
		t.Errorf("before the first login: got the processes %v, want none", pids)
	}
	login("first login")
	first := children(t, g.PID())
	if len(first) != 1 {
		t.Fatalf("after the first login: got the processes %v, want one", first)
	}
	if args := proc(t, first[0], "cmdline"); !strings.HasSuffix(args, "\x00hash-passwords\x00") {
		t.Errorf("got the command line %q, want the argument hash-passwords", args)
	}
	if env := proc(t, first[0], "environ"); env != "" {
		t.Error("the process has environment variables, want none")
	}
	_, stat, _ := strings.Cut(proc(t, first[0], "stat"), ") ")
	if nice := strings.Fields(stat)[16]; nice != "10" {
		t.Errorf("got niceness %s, want 10", nice)
	}

	process, err := os.FindProcess(first[0])
	must(t, err)
	must(t, process.Kill())
	login("login after the process was killed")
	gatewaytest.WaitUntil(t, 10*time.Second, "another process is started", func() bool {
		login("later login")
		pids := children(t, g.PID())
		return len(pids) == 1 && pids[0] != first[0]
	})
	last := children(t, g.PID())[0]
	g.Terminate()
	if code := g.ExitCode(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	gatewaytest.WaitUntil(t, 5*time.Second, "the process has exited", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", last))
		return err != nil
	})
}

// children returns the child processes of a process, without zombies.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	lists := ""
	for _, thread := range threads { // each thread lists the processes that it started
		lists += proc(t, pid, "task/"+thread.Name()+"/children")
	}
	for field := range strings.FieldsSeq(lists) {
		var child int
		_, err := fmt.Sscan(field, &child)
		must(t, err)
		if _, stat, _ := strings.Cut(proc(t, child, "stat"), ") "); !strings.HasPrefix(stat, "Z") {
			pids = append(pids, child)
		}
	}
	return pids
}

// proc returns the content of a file in a process's folder under /proc, or an empty
// string if the process has exited.
func proc(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil && !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such process") {
		t.Fatal(err)
	}
	return string(text)
}
