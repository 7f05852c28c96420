package wholetest

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
)

// TestHashingIsAProcessOfItsOwn: the program hashes passwords in a process that
// has none of its secrets and gives way to others; logins go on when that dies,
// and it ends with the program.
func TestHashingIsAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	g := rig.Start(t, "", rig.Settings{"SHUTDOWN_DELAY": "0s"})
	login := func(what string) {
		t.Helper()
		want(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", what), what)
	}
	if n := len(children(t, g.PID())); n != 0 {
		t.Errorf("%d processes before anybody has logged in", n)
	}
	login("a first login")
	first := children(t, g.PID())
	if len(first) != 1 {
		t.Fatalf("processes %v", first)
	}
	if args := proc(t, first[0], "cmdline"); !strings.HasSuffix(args, "\x00hash-passwords\x00") {
		t.Errorf("it was started as %q", args)
	}
	if env := proc(t, first[0], "environ"); env != "" {
		t.Error("it was given an environment")
	}
	_, stat, _ := strings.Cut(proc(t, first[0], "stat"), ") ")
	if nice := strings.Fields(stat)[16]; nice != "10" {
		t.Errorf("its niceness is %s", nice)
	}

	process, err := os.FindProcess(first[0])
	must(t, err)
	must(t, process.Kill())
	login("a login when it has been killed")
	eventually(t, 10*time.Second, "another one is started", func() bool {
		login("a login later")
		now := children(t, g.PID())
		return len(now) == 1 && now[0] != first[0]
	})
	last := children(t, g.PID())[0]
	g.Term()
	if code := g.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, 5*time.Second, "it ends with the program", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", last))
		return err != nil
	})
}

// children are the processes that one has started, but for those that wait to
// be buried.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	lists := ""
	for _, thread := range threads { // each tells what it has started
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

// proc reads what Linux tells of a process; nothing of one that is gone.
func proc(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil && !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such process") {
		t.Fatal(err)
	}
	return string(text)
}
