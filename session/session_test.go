package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"tokengate/session"
)

func TestParseType(t *testing.T) {
	for in, want := range map[string]session.Type{
		"LONG": session.Long, "long": session.Long, " Short\t\n": session.Short, "\u00a0lOnG\u2003": session.Long,
		"": "", "ALL": "", "LONGER": "", "LO NG": "",
	} {
		if got, ok := session.ParseType(in); got != want || ok != (want != "") {
			t.Errorf("ParseType(%q): %q %v", in, got, ok)
		}
	}
	if !slices.Equal(session.Types, []session.Type{session.Short, session.Long}) {
		t.Errorf("Types: %v", session.Types)
	}
}

func TestNewID(t *testing.T) {
	const n = 100_000
	seen := make(map[session.ID]bool, n)
	for range n {
		id := session.NewID()
		if !id.Valid() || seen[id] {
			t.Fatalf("%q: valid %v, seen before %v", id, id.Valid(), seen[id])
		}
		seen[id] = true
	}
}

func TestIDValid(t *testing.T) {
	for in, want := range map[session.ID]bool{
		"AZaz09-_AZaz09-_AZaz09":       true,
		"":                             false,
		"AZaz09-_AZaz09-_AZaz0":        false,
		"AZaz09-_AZaz09-_AZaz099":      false,
		"AZaz09-_AZaz09-_AZaz0=":       false,
		"AZaz09-_AZaz09-_AZaz0|":       false,
		"AZaz09-_AZaz09-_AZaz0 ":       false,
		"AZaz09-_AZaz09-_AZaz\xc3\xa9": false,
	} {
		if in.Valid() != want {
			t.Errorf("%q: valid %v", in, in.Valid())
		}
	}
}

func TestParseUserID(t *testing.T) {
	long := strings.Repeat("u", 512)
	for in, want := range map[string]session.UserID{
		`42`:                   session.NumberID(42),
		` -7 `:                 session.NumberID(-7),
		`0`:                    session.NumberID(0),
		`9223372036854775807`:  session.NumberID(1<<63 - 1),
		`-9223372036854775808`: session.NumberID(-1 << 63),
		`1.0`:                  session.NumberID(1),
		`1e3`:                  session.NumberID(1000),
		`-0.0`:                 session.NumberID(0),
		`"42"`:                 session.TextID("42"),
		`"a:b{c}"`:             session.TextID("a:b{c}"),
		`"Zo\u00eb"`:           session.TextID("Zoë"),
		`" "`:                  session.TextID(" "),
		`"` + long + `"`:       session.TextID(long),
		`"` + long + `u"`:      {},
		`""`:                   {},
		``:                     {},
		`null`:                 {},
		`true`:                 {},
		`[1]`:                  {},
		`{}`:                   {},
		`1.5`:                  {},
		`1e400`:                {},
		`9223372036854775808`:  {},
		`9007199254740993.0`:   {},
		`NaN`:                  {},
		`Inf`:                  {},
		`-Inf`:                 {},
		`0x10`:                 {},
		`"a`:                   {},
		"\"caf\xe9\"":          {},
		`"caf\ud800"`:          {},
		`"caf\udfff"`:          {},
		`"caf\ufffd"`:          {},
		`"😀"`:                  session.TextID("😀"),
		`"\ud83d\ude00"`:       session.TextID("😀"),
		`"a" "b"`:              {},
	} {
		got, err := session.ParseUserID([]byte(in))
		if got != want || (err == nil) == want.IsZero() {
			t.Errorf("ParseUserID(%.40q): %+v %v, want %+v", in, got, err, want)
		}
	}
}

// TestUserIDJSON: an id keeps its JSON type, and is the same user all the same.
func TestUserIDJSON(t *testing.T) {
	for id, want := range map[session.UserID]string{
		session.NumberID(42):        `42`,
		session.TextID("42"):        `"42"`,
		session.TextID("Zoë \"<>|"): "",
	} {
		raw, err := json.Marshal(struct{ ID session.UserID }{id})
		if err != nil || want != "" && string(raw) != `{"ID":`+want+`}` {
			t.Errorf("%s: %s %v", id, raw, err)
		}
		var back struct{ ID session.UserID }
		if err := json.Unmarshal(raw, &back); err != nil || back.ID != id {
			t.Errorf("%s came back as %s: %v", id, back.ID, err)
		}
		if got := string(id.AppendJSON([]byte("x"))); want != "" && got != "x"+want {
			t.Errorf("AppendJSON: %s", got)
		}
	}
	if session.NumberID(42).String() != session.TextID("42").String() {
		t.Error(`42 and "42" are two users`)
	}
}

func TestCodeOf(t *testing.T) {
	ended := &session.Error{Code: session.Ended, Cause: session.CauseReplay, Err: io.EOF}
	for _, c := range []struct {
		err   error
		code  session.Code
		cause session.Cause
	}{
		{nil, session.OK, ""},
		{io.EOF, session.Internal, ""},
		{session.Fail(session.Busy, nil), session.Busy, ""},
		{ended, session.Ended, session.CauseReplay},
		{fmt.Errorf("while: %w", ended), session.Ended, session.CauseReplay},
	} {
		if got := session.CodeOf(c.err); got != c.code {
			t.Errorf("CodeOf(%v): %s, want %s", c.err, got, c.code)
		}
		if got := session.CauseOf(c.err); got != c.cause {
			t.Errorf("CauseOf(%v): %q, want %q", c.err, got, c.cause)
		}
	}
	if !errors.Is(ended, io.EOF) || ended.Error() != "ended (replay): EOF" {
		t.Errorf("%v", ended)
	}
	if got := session.Fail(session.Spent, nil).Error(); got != "spent" {
		t.Errorf("%s", got)
	}
}

// TestCauses: each cause is in the list, once; the words are on the wire.
func TestCauses(t *testing.T) {
	want := "user others logout evicted replay type_mismatch operator account app expired absolute"
	var got []string
	for _, c := range session.Causes {
		got = append(got, string(c))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("Causes: %s", got)
	}
}
