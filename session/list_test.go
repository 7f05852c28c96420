package session_test

import (
	"fmt"
	"testing"
	"time"

	"tokengate/session"
)

func TestList(t *testing.T) {
	f := newFixture(t)
	long := f.login(session.Long)
	f.now = f.now.Add(time.Second)
	short := f.login(session.Short)
	c := f.caller(long.Access)
	for types, want := range map[string][]session.ID{
		"ALL": {long.Session, short.Session}, " all ": {long.Session, short.Session}, "long": {long.Session}, "SHORT": {short.Session},
	} {
		result, requested, err := f.List(t.Context(), c, types)
		f.wantError(err, session.OK, "")
		var got []session.ID
		for _, s := range result.Sessions {
			got = append(got, s.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(requested) != len(want) {
			t.Errorf("%q: got %v of types %v, want %v", types, got, requested, want)
		}
		f.wantEvents("list shop/1 ok")
	}
	_, _, err := f.List(t.Context(), c, "BOTH")
	f.wantError(err, session.InvalidType, "")
	f.wantEvents("list shop/1 invalid_type")
	_, err = f.Logout(t.Context(), "s-new", long.Refresh)
	f.wantError(err, session.OK, "")
	_, _, err = f.List(t.Context(), c, "ALL")
	f.wantError(err, session.TokenRevoked, session.CauseLogout)
}
