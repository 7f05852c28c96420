package session_test

import (
	"slices"
	"testing"

	"tokengate/session"
)

func TestParseType(t *testing.T) {
	for in, want := range map[string]session.Type{
		"LONG": session.Long, "long": session.Long, " Short\t\n": session.Short, "\u00a0lOnG\u2003": session.Long,
		"": "", "ALL": "", "LONGER": "", "LO NG": "",
	} {
		if got, ok := session.ParseType(in); got != want || ok != (want != "") {
			t.Errorf("ParseType(%q): got %q, %v, want %q", in, got, ok, want)
		}
	}
	if !slices.Equal(session.Types, []session.Type{session.Short, session.Long}) {
		t.Errorf("Types: got %v, want SHORT before LONG", session.Types)
	}
}

// TestTrimSpace checks every character against Python's list of white space:
// [c for c in range(0x110000) if chr(c).isspace()].
func TestTrimSpace(t *testing.T) {
	python := []rune{
		0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
		0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
	}
	for r := rune(0); r < 0x110000; r++ {
		trimmed, want := session.TrimSpace(string(r)) == "", slices.Contains(python, r)
		if trimmed != want {
			t.Errorf("%U: got trimmed %v, want %v", r, trimmed, want)
		}
	}
}
