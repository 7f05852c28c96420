package users

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tokengate/session"
)

// firstOf is a Nearest function for tests, which returns the first known name with the same
// first letter.
func firstOf(name string, known []string) string {
	i := slices.IndexFunc(known, func(k string) bool { return k[0] == name[0] })
	return known[max(i, 0)]
}

const misspelt = `[{"id":1,"username":"alice","password":"!","is_actve":false},
	{"id":2,"username":"bob","password":"!","is_actve":false,"email":"b@example.org","is_actve":true},
	{"id":3,"username":"carol","password":"!","model":"x"}]`

// TestUnknownMembersOfFile checks that a member without a meaning is logged once for each
// content of the file, with the number of its users, and that the file is used.
func TestUnknownMembersOfFile(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	w.source().nearest = firstOf
	w.write(misspelt)
	for range 5 {
		w.recheckLater(session.OK)
	}
	for _, want := range []string{"member=is_actve users=2 nearest=id", "member=email users=1"} {
		if n := w.logCount(want); n != 1 {
			t.Errorf("got %d lines with %q, want 1:\n%s", n, want, &w.log)
		}
	}
	if n := w.logCount("level=WARN"); n != 2 || w.logCount("example.org") != 0 {
		t.Errorf("got %d warnings, want 2, without values:\n%s", n, &w.log)
	}
	w.write(activeOne)
	w.recheckLater(session.OK)
	w.write(misspelt)
	w.recheckLater(session.OK)
	if n := w.logCount("level=WARN"); n != 4 {
		t.Errorf("after another content: got %d warnings, want 4:\n%s", n, &w.log)
	}
}

// TestManyUnknownMembers checks that there is a limit to the members that are reported, and
// to the length of their names.
func TestManyUnknownMembers(t *testing.T) {
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, `,{"id":%d,"username":"u%d","password":"!","%s%d":1}`, i, i, strings.Repeat("x", 100*(i%2)), i)
	}
	w := openWatchedFile(t, "["+file.String()[1:]+"]")
	if n := w.logCount("level=WARN"); n != maxUnknown || w.logCount(strings.Repeat("x", maxUnknownName+1)) != 0 {
		t.Errorf("got %d warnings, want %d, with names of at most %d bytes:\n%s", n, maxUnknown, maxUnknownName, &w.log)
	}
}

// TestUnknownMembersOfImport checks that an import warns about members without a meaning,
// except in a dump, whose users have many.
func TestUnknownMembersOfImport(t *testing.T) {
	dump := `[{"model":"auth.user","pk":1,"natural":true,"fields":{"username":"eve","password":"!","email":"e@example.org"}}]`
	for in, want := range map[string][]string{
		dump: nil, activeOne: nil,
		misspelt: {
			`member "is_actve" has no meaning and is ignored (users with it: 2); did you mean id?`,
			`member "email" has no meaning and is ignored (users with it: 1); did you mean id?`,
		},
	} {
		list, warnings, err := Import(strings.NewReader(in), ImportOptions{Nearest: firstOf})
		slices.Sort(want)
		slices.Sort(warnings)
		if err != nil || len(list) == 0 || !slices.Equal(warnings, want) {
			t.Errorf("%s: got %d users, warnings %q, error %v; want warnings %q", in, len(list), warnings, err, want)
		}
	}
}
