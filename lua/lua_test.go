package lua_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/lua"
)

var scripts = []lua.Script{
	lua.Create, lua.Refresh, lua.List, lua.End, lua.Others, lua.Logout,
	lua.Live, lua.Traces, lua.Epoch,
	lua.Claim, lua.Confirm, lua.Release, lua.Put, lua.Remove,
}

// shared is what scripts include.
var shared = []string{"lib", "guards", "judge", "settle", "change", "find", "recency"}

func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryFileIsAScript(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range scripts {
		known = append(known, s.Name)
	}
	for _, f := range files {
		name, isLua := strings.CutSuffix(f.Name(), ".lua")
		if isLua && !slices.Contains(known, name) && !slices.Contains(shared, name) {
			t.Errorf("%s is no script of this test", f.Name())
		}
	}
}

// TestIncludes: a script's text is its file with the shared ones where it asks
// for them, and none of those is there for nothing.
func TestIncludes(t *testing.T) {
	included := map[string]bool{}
	for _, s := range scripts {
		want := ""
		for line := range strings.Lines(source(t, s.Name)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- include "); ok {
				included[name] = true
				line = source(t, name)
			}
			want += line
		}
		if s.Text != want {
			t.Errorf("%s: the text is not its file with what it includes", s.Name)
		}
	}
	for _, name := range shared {
		if !included[name] {
			t.Errorf("nothing includes %s", name)
		}
	}
}

// header is what a script's first comment says.
type header struct {
	keys, args numbered
	words      []string
}

// numbered is a list such as "1 epoch, 2 user, 5… data": its length, and
// whether it goes on.
type numbered struct {
	n    int
	more bool
}

var (
	section = regexp.MustCompile(`(?s)-- (KEYS|ARGV|Returns): (.*?)(?:\n-- (?:ARGV|Returns):|\z)`)
	number  = regexp.MustCompile(`(?:^|, )\s*(\d+)(…?) `)
)

func readHeader(t *testing.T, name, text string) (h header, body string) {
	t.Helper()
	end := strings.Index(text, "\n\n")
	if !strings.HasPrefix(text, "-- ") || end < 0 {
		t.Fatalf("%s does not begin with a comment and a line left free", name)
	}
	comment := text[:end]
	for rest := comment; ; {
		m := section.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		what, content := rest[m[2]:m[3]], rest[m[4]:m[5]]
		content = strings.ReplaceAll(strings.ReplaceAll(content, "\n--", " "), "  ", " ")
		switch what {
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
			t.Errorf("%s: %q is not numbered from 1 on", name, content)
		}
		list.more = m[2] != ""
	}
	return list
}

// firstWords gives the first word of each reply.
func firstWords(content string) (words []string) {
	for one := range strings.SplitSeq(content, "|") {
		word, _, _ := strings.Cut(strings.TrimSpace(one), ",")
		words = append(words, word)
	}
	return words
}

var (
	index    = regexp.MustCompile(`(KEYS|ARGV)\[(\d+)\]`)
	unpacked = regexp.MustCompile(`local ([a-z_, ]+) = (?:[A-Z]+\[\d\], )?unpack\((KEYS|ARGV)(?:, (\d+))?\)`)
	loop     = regexp.MustCompile(`for k = (\d+),`)
	looked   = regexp.MustCompile(`(?:find|revoked)\(\w+, (\d+), (\d+)\)`)
	literal  = regexp.MustCompile(`return \{'([a-z_]+)'`)
)

// uses gives which elements of KEYS and ARGV a text reads one by one.
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
		if strings.Contains(m[0], "[") { // the first name is another's
			names = names[1:]
		}
		for i := range names {
			used[m[2]][first+i] = true
		}
	}
	return used
}

func TestHeaderIsBody(t *testing.T) {
	for _, s := range scripts {
		h, body := readHeader(t, s.Name, source(t, s.Name))
		used := uses(s.Text)
		check(t, s.Name, "KEYS", h.keys, used["KEYS"])
		check(t, s.Name, "ARGV", h.args, used["ARGV"])
		checkMore(t, s.Name, h.keys, body)
		for _, m := range literal.FindAllStringSubmatch(body, -1) {
			if !slices.Contains(h.words, m[1]) {
				t.Errorf("%s returns %q, its header says %q", s.Name, m[1], h.words)
			}
		}
		if !slices.Contains(h.words, "ok") {
			t.Errorf("%s: the header knows no success", s.Name)
		}
	}
}

func check(t *testing.T, name, what string, said numbered, used map[int]bool) {
	t.Helper()
	alone := said.n
	if said.more {
		alone-- // the last number stands for many, which loops read
	}
	for i := 1; i <= alone; i++ {
		if !used[i] {
			t.Errorf("%s: %s[%d] of the header is not used", name, what, i)
		}
	}
	for i := range used {
		if i > alone {
			t.Errorf("%s: %s[%d] is used and not in the header", name, what, i)
		}
	}
}

// checkMore wants loops over the keys that go on to begin where they do.
func checkMore(t *testing.T, name string, said numbered, body string) {
	t.Helper()
	var firsts []string
	for _, m := range loop.FindAllStringSubmatch(body, -1) {
		firsts = append(firsts, m[1])
	}
	for _, m := range looked.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(m[1])
		step, _ := strconv.Atoi(m[2])
		firsts = append(firsts, strconv.Itoa(n-step+1)) // data comes last of each type's keys
	}
	if said.more != (len(firsts) > 0) {
		t.Errorf("%s: header says that keys go on: %t; loops begin at %v", name, said.more, firsts)
	}
	for _, f := range firsts {
		if f != strconv.Itoa(said.n) {
			t.Errorf("%s: keys go on from %d, a loop begins at %s", name, said.n, f)
		}
	}
}

func TestNoKeyIsBuilt(t *testing.T) {
	call := regexp.MustCompile(`redis\.call\('[A-Z]+', ([^,)]+)`)
	for _, s := range scripts {
		for _, m := range call.FindAllStringSubmatch(s.Text, -1) {
			if strings.ContainsAny(m[1], ".'\"") {
				t.Errorf("%s: %s names a key that no caller gave", s.Name, m[0])
			}
		}
	}
}

func TestSize(t *testing.T) {
	for _, s := range scripts {
		if n := codeLines(source(t, s.Name)); n > 45 {
			t.Errorf("%s has %d lines of code: it does more than one job", s.Name, n)
		}
	}
	for _, name := range shared {
		if n := strings.Count(source(t, name), "\n"); n >= 80 {
			t.Errorf("%s has %d lines", name, n)
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
