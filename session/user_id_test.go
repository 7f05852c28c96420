package session_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tokengate/session"
)

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
			t.Errorf("ParseUserID(%.40q): got %+v, %v, want %+v", in, got, err, want)
		}
	}
}

// TestUserIDJSON checks that an ID keeps its JSON type, and that 42 and "42" are the
// same user.
func TestUserIDJSON(t *testing.T) {
	for id, want := range map[session.UserID]string{
		session.NumberID(42):        `42`,
		session.TextID("42"):        `"42"`,
		session.TextID("Zoë \"<>|"): "",
	} {
		raw, err := json.Marshal(struct{ ID session.UserID }{id})
		if err != nil || want != "" && string(raw) != `{"ID":`+want+`}` {
			t.Errorf("Marshal(%s): got %s, %v, want %s", id, raw, err, want)
		}
		var back struct{ ID session.UserID }
		if err := json.Unmarshal(raw, &back); err != nil || back.ID != id {
			t.Errorf("Unmarshal(%s): got %s, %v, want %s", raw, back.ID, err, id)
		}
		if got := string(id.AppendJSON([]byte("x"))); want != "" && got != "x"+want {
			t.Errorf("AppendJSON: got %s, want x%s", got, want)
		}
	}
	if session.NumberID(42).String() != session.TextID("42").String() {
		t.Error(`42 and "42" have different texts`)
	}
}
