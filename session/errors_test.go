package session_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"tokengate/session"
)

func TestCodeOfAndCauseOf(t *testing.T) {
	revoked := &session.Error{Code: session.Revoked, Cause: session.CauseReplay, Err: io.EOF}
	for _, c := range []struct {
		err   error
		code  session.Code
		cause session.Cause
	}{
		{nil, session.OK, ""},
		{io.EOF, session.Internal, ""},
		{session.Fail(session.Busy, nil), session.Busy, ""},
		{revoked, session.Revoked, session.CauseReplay},
		{fmt.Errorf("while: %w", revoked), session.Revoked, session.CauseReplay},
	} {
		if got := session.CodeOf(c.err); got != c.code {
			t.Errorf("CodeOf(%v): got %s, want %s", c.err, got, c.code)
		}
		if got := session.CauseOf(c.err); got != c.cause {
			t.Errorf("CauseOf(%v): got %q, want %q", c.err, got, c.cause)
		}
	}
	if !errors.Is(revoked, io.EOF) {
		t.Errorf("%v does not wrap its reason", revoked)
	}
	for _, c := range []struct {
		err  error
		want string
	}{{revoked, "ended (replay): EOF"}, {session.Fail(session.Spent, nil), "spent"}} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("Error: got %q, want %q", got, c.want)
		}
	}
}

// TestCauses checks that the list has each cause once, with its word on the wire.
func TestCauses(t *testing.T) {
	want := "user others logout evicted replay type_mismatch operator account app expired absolute"
	var got []string
	for _, c := range session.Causes {
		got = append(got, string(c))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("Causes: got %s, want %s", got, want)
	}
}
