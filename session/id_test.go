package session

import "testing"

func TestIDTellsItsType(t *testing.T) {
	for range 1000 {
		plain := NewID()
		if got := plain.Type(); got != "" {
			t.Fatalf("%s: a fresh ID tells type %q", plain, got)
		}
		for _, want := range Types {
			id := plain.As(want)
			if !id.Valid() || id.Type() != want || id[:21] != plain[:21] {
				t.Fatalf("%s as %s is %s, which tells %q", plain, want, id, id.Type())
			}
			if id.As(Short) != plain.As(Short) {
				t.Fatalf("%s: the type can't be written over", id)
			}
		}
	}
	for _, id := range []ID{"", "abc", "0123456789012345678901234", "012345678901234567890!"} {
		if id.Type() != "" {
			t.Errorf("%q tells a type", id)
		}
	}
}
