package session_test

import (
	"testing"

	"tokengate/session"
)

func TestNewIDIsUnique(t *testing.T) {
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
	for id, want := range map[session.ID]bool{
		"AZaz09-_AZaz09-_AZaz09":       true,
		"":                             false,
		"AZaz09-_AZaz09-_AZaz0":        false,
		"AZaz09-_AZaz09-_AZaz099":      false,
		"AZaz09-_AZaz09-_AZaz0=":       false,
		"AZaz09-_AZaz09-_AZaz0|":       false,
		"AZaz09-_AZaz09-_AZaz0 ":       false,
		"AZaz09-_AZaz09-_AZaz\xc3\xa9": false,
	} {
		if got := id.Valid(); got != want {
			t.Errorf("%q: got valid %v, want %v", id, got, want)
		}
	}
}

func TestIDType(t *testing.T) {
	for range 1000 {
		plain := session.NewID()
		if got := plain.Type(); got != "" {
			t.Fatalf("%s: got type %q of a new ID, want none", plain, got)
		}
		for _, want := range session.Types {
			id := plain.WithType(want)
			if !id.Valid() || id.Type() != want || id[:21] != plain[:21] {
				t.Fatalf("%s as %s: got %s of type %q", plain, want, id, id.Type())
			}
			if id.WithType(session.Short) != plain.WithType(session.Short) {
				t.Fatalf("%s: WithType does not replace the type", id)
			}
		}
	}
	for _, id := range []session.ID{"", "abc", "0123456789012345678901234", "012345678901234567890!"} {
		if got := id.Type(); got != "" {
			t.Errorf("%q: got type %q, want none", id, got)
		}
	}
}
