package lua_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/lua"
)

var scripts = []lua.Script{
	lua.Create, lua.Refresh, lua.List, lua.Revoke, lua.RevokeOthers, lua.Logout,
	lua.CheckToken, lua.Live, lua.Tombstones, lua.RevokeApp, lua.Ready, lua.Probe, lua.Heartbeat,
	lua.ReserveUsername, lua.ConfirmUsername, lua.ReleaseUsername, lua.PutAccount, lua.RemoveAccount, lua.NextID,
	lua.ReserveFailure, lua.ReleaseFailure, lua.EndFailures, lua.ReserveRate, lua.ReleaseRate,
}

// source returns the text of a file, such as "create" or "include/find_session".
func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fileNames returns the names of the Lua files in a directory, without ".lua".
func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name, isLua := strings.CutSuffix(f.Name(), ".lua"); isLua {
			names = append(names, name)
		}
	}
	return names
}

// TestEveryFileIsAScript checks that each file outside include/ is a script that
// package lua exports.
func TestEveryFileIsAScript(t *testing.T) {
	for _, name := range fileNames(t, ".") {
		if !slices.ContainsFunc(scripts, func(s lua.Script) bool { return s.Name == name }) {
			t.Errorf("%s.lua is not in the list of scripts", name)
		}
	}
}

// TestIncludes checks that the text of a script is its file with the included files
// inserted, and that every file in include/ is included by a script.
func TestIncludes(t *testing.T) {
	included := map[string]bool{}
	for _, s := range scripts {
		want := ""
		for line := range strings.Lines(source(t, s.Name)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- include "); ok {
				included[name] = true
				line = source(t, "include/"+name)
			}
			want += line
		}
		if s.Text != want {
			t.Errorf("%s: the text differs from the file with its includes", s.Name)
		}
	}
	for _, name := range fileNames(t, "include") {
		if !included[name] {
			t.Errorf("no script includes include/%s.lua", name)
		}
	}
}

// header is the content of a script's first comment.
type header struct {
	keys, args numbered
	words      []string
}

// numbered describes a list such as "1 not-before, 2 user, 3… data": its length, and
// whether its last number stands for several elements.
type numbered struct {
	n    int
	more bool
}

var (
	section = regexp.MustCompile(`(?s)-- (KEYS|ARGV|Returns): (.*?)(?:\n-- (?:ARGV|Returns):|\z)`)
	number  = regexp.MustCompile(`(?:^|, )\s*(\d+)(…?) `)
)

// readHeader splits a script's text into its header and the rest.
func readHeader(t *testing.T, name, text string) (h header, body string) {
	t.Helper()
	end := strings.Index(text, "\n\n")
	if !strings.HasPrefix(text, "-- ") || end < 0 {
		t.Fatalf("%s does not begin with a comment and an empty line", name)
	}
	comment := text[:end]
	for rest := comment; ; {
		m := section.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		title, content := rest[m[2]:m[3]], rest[m[4]:m[5]]
		content = strings.ReplaceAll(strings.ReplaceAll(content, "\n--", " "), "  ", " ")
		switch title {
		case "KEYS":
			h.keys = readNumbers(t, name, content)
		case "ARGV":
			h.args = readNumbers(t, name, content)
		case "Returns":
			h.words = firstWords(content)
		}
		rest = rest[m[5]:]
	}
	return h, text[end:]
}

func readNumbers(t *testing.T, name, content string) (list numbered) {
	t.Helper()
	for _, m := range number.FindAllStringSubmatch(content, -1) {
		list.n++
		if m[1] != strconv.Itoa(list.n) {
			t.Errorf("%s: %q is not numbered from 1", name, content)
		}
		list.more = m[2] != ""
	}
	return list
}

// firstWords returns the first word of each reply.
func firstWords(content string) (words []string) {
	for reply := range strings.SplitSeq(content, "|") {
		word, _, _ := strings.Cut(strings.TrimSpace(reply), ",")
		words = append(words, word)
	}
	return words
}

var (
	index    = regexp.MustCompile(`(KEYS|ARGV)\[(\d+)\]`)
	unpacked = regexp.MustCompile(`local ([a-z_, ]+) = (?:[A-Z]+\[\d\], )?unpack\((KEYS|ARGV)(?:, (\d+))?\)`)
	loop     = regexp.MustCompile(`for k = (\d+),`)
	lookup   = regexp.MustCompile(`(?:find_session|refuse_caller)\(\w+, (\d+), (\d+)\)`)
	literal  = regexp.MustCompile(`return \{'([a-z_]+)'`)
)

// uses returns the elements of KEYS and ARGV that a script reads by their numbers, or by
// unpacking them into variables.
func uses(text string) map[string]map[int]bool {
	used := map[string]map[int]bool{"KEYS": {}, "ARGV": {}}
	for _, m := range index.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[2])
		used[m[1]][n] = true
	}
	for _, m := range unpacked.FindAllStringSubmatch(text, -1) {
		first, names := 1, strings.Split(m[1], ",")
		if m[3] != "" {
			first, _ = strconv.Atoi(m[3])
		}
		if strings.Contains(m[0], "[") { // the first name belongs to the other value
			names = names[1:]
		}
		for i := range names {
			used[m[2]][first+i] = true
		}
	}
	return used
}

// TestHeadersMatchBodies checks the KEYS, ARGV and replies of each script against its header.
func TestHeadersMatchBodies(t *testing.T) {
	for _, s := range scripts {
		h, body := readHeader(t, s.Name, source(t, s.Name))
		used := uses(s.Text)
		check(t, s.Name, "KEYS", h.keys, used["KEYS"])
		check(t, s.Name, "ARGV", h.args, used["ARGV"])
		checkMore(t, s.Name, h.keys, body)
		for _, m := range literal.FindAllStringSubmatch(body, -1) {
			if !slices.Contains(h.words, m[1]) {
				t.Errorf("%s returns %q, and its header lists %q", s.Name, m[1], h.words)
			}
		}
		if !slices.Contains(h.words, "ok") {
			t.Errorf("%s: the header lists no successful reply", s.Name)
		}
	}
}

// check compares the elements of KEYS or ARGV that a header lists with those that the
// script uses.
func check(t *testing.T, name, array string, listed numbered, used map[int]bool) {
	t.Helper()
	individual := listed.n
	if listed.more {
		individual-- // the last number stands for several elements, which are read in loops
	}
	for i := 1; i <= individual; i++ {
		if !used[i] {
			t.Errorf("%s: the header lists %s[%d], which is not used", name, array, i)
		}
	}
	for i := range used {
		if i > individual {
			t.Errorf("%s: %s[%d] is used but not in the header", name, array, i)
		}
	}
}

// checkMore checks that the loops over the last keys of the header begin at their
// number.
func checkMore(t *testing.T, name string, listed numbered, body string) {
	t.Helper()
	var firsts []string
	for _, m := range loop.FindAllStringSubmatch(body, -1) {
		firsts = append(firsts, m[1])
	}
	for _, m := range lookup.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(m[1])
		step, _ := strconv.Atoi(m[2])
		firsts = append(firsts, strconv.Itoa(n-step+1)) // data comes last of each type's keys
	}
	if listed.more != (len(firsts) > 0) {
		t.Errorf("%s: the header lists a variable number of keys: %t; loops begin at %v", name, listed.more, firsts)
	}
	for _, f := range firsts {
		if f != strconv.Itoa(listed.n) {
			t.Errorf("%s: the variable keys begin at %d, a loop begins at %s", name, listed.n, f)
		}
	}
}

// TestKeysComeFromKEYS checks that no script builds the name of a key.
func TestKeysComeFromKEYS(t *testing.T) {
	call := regexp.MustCompile(`redis\.call\('[A-Z]+', ([^,)]+)`)
	for _, s := range scripts {
		for _, m := range call.FindAllStringSubmatch(s.Text, -1) {
			if strings.ContainsAny(m[1], ".'\"") {
				t.Errorf("%s: %s uses a key that is not in KEYS", s.Name, m[0])
			}
		}
	}
}

// TestProbeRunsEveryCommand checks that the probe runs the commands of all other scripts,
// and no more, so that the Redis user needs no right for it alone.
func TestProbeRunsEveryCommand(t *testing.T) {
	call := regexp.MustCompile(`(?:redis\.p?call\(|\{)'([A-Z]+)'`)
	probed, needed := map[string]bool{}, map[string]bool{}
	for _, s := range scripts {
		commands := needed
		if s.Name == lua.Probe.Name {
			commands = probed
		}
		calls := call.FindAllStringSubmatch(s.Text, -1)
		if n := strings.Count(s.Text, "call("); len(calls) < n-1 { // one call of the probe runs all commands of its list
			t.Errorf("%s: got the names of %d commands, want those of %d calls", s.Name, len(calls), n)
		}
		for _, m := range calls {
			commands[m[1]] = true
		}
	}
	if !maps.Equal(probed, needed) {
		t.Errorf("the probe runs %q, the other scripts run %q", slices.Sorted(maps.Keys(probed)), slices.Sorted(maps.Keys(needed)))
	}
}

// TestSize limits the length of scripts, so that each does one job.
func TestSize(t *testing.T) {
	for _, s := range scripts {
		if n := codeLines(source(t, s.Name)); n > 45 {
			t.Errorf("%s has %d lines of code, want at most 45", s.Name, n)
		}
	}
	for _, name := range fileNames(t, "include") {
		if n := strings.Count(source(t, "include/"+name), "\n"); n >= 80 {
			t.Errorf("include/%s has %d lines, want fewer than 80", name, n)
		}
	}
}

// codeLines counts the lines that are neither empty nor a comment.
func codeLines(text string) (n int) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			n++
		}
	}
	return n
}
