package redisstore_test

import (
	"fmt"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestRecordOfLaterVersion checks that every step works on what a later version has
// written: a record with a higher format version and more bytes, and further fields of
// the data hash. A refresh keeps the version and the bytes.
func TestRecordOfLaterVersion(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	for _, more := range []string{"", "+", "\x00", "eight by", "\xff and sixteen bytes", strings.Repeat("long", 100)} {
		current := login(t, s, alice, policy).Session
		data, field := "tg:{shop:"+bucketHex(alice.User)+"}:data:LONG:42", string(current.ID[:10])
		record := srv.Do("HGET", data, field)
		srv.Do("HSET", data, field, string(record[0]+1)+record[1:]+more, field+"u", "user agent", "meta", "short", "another field of ten", "x")

		for range 2 { // each refresh rotates
			current = refresh(t, s, alice, current, policy)
			written := srv.Do("HGET", data, field)
			if written[0] != record[0]+1 || written[len(record):] != more || written[1:5] == record[1:5] {
				t.Errorf("%q: a refresh has written %q", more, written)
			}
			record = string(record[0]) + written[1:len(record)]
		}
		if listed := list(t, s); len(listed) != 1 || listed[0].ID != current.ID || !listed[0].Expires.Equal(current.Expires) || listed[0].Info == "" {
			t.Errorf("%q: got list %v", more, listed)
		}
		errs := map[string]error{
			"Live":       s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID}),
			"CheckToken": s.CheckToken(ctx, refreshStep(alice, current, policy)),
		}
		_, errs["List with a caller"] = s.List(ctx, session.ListStep{Owner: alice, Caller: current.ID, Types: session.Types})
		_, errs["Tombstones"] = s.Tombstones(ctx, alice)
		limited := policy
		limited.Max = 1
		created, err := s.Create(ctx, createStep(alice, limited))
		errs["Create"] = err
		if len(created.Revoked) != 1 || created.Revoked[0].ID != current.ID {
			t.Errorf("%q: evicted %v, want %s", more, created.Revoked, current.ID)
		}
		_, errs["Logout"] = s.Logout(ctx, logoutStep(created.Session, policy))
		for step, err := range errs {
			if err != nil {
				t.Errorf("%q: %s: %v", more, step, err)
			}
		}
	}
}

// TestRevokeOthersKeepsLaterVersion checks that what a later version has written of the kept
// session stays when many others are revoked.
func TestRevokeOthersKeepsLaterVersion(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := policy
	p.Limit = false
	keep := loginAs(t, s, alice, session.Long, p)
	data, field := "tg:{shop:"+bucketHex(alice.User)+"}:data:LONG:42", string(keep.ID[:10])
	srv.Do("HSET", data, field, "\x02"+srv.Do("HGET", data, field)[1:]+"more", field+"u", "user agent", field+"z", "last")
	before := map[string]string{}
	for _, suffix := range []string{"", "c", "i", "u", "z"} {
		before[suffix] = srv.Do("HGET", data, field+suffix)
	}
	loginMany(t, s, p, 600)
	result, err := s.RevokeOthers(ctx, session.RevokeOthersStep{
		Owner: alice, Keep: keep.ID, KeepToken: refreshStep(alice, keep, p).Presented, KeepPolicy: p, Types: session.Types, Cause: session.CauseOthers,
	})
	if err != nil || result.Count() != 600 {
		t.Fatalf("revoked %d sessions, %v; want 600", result.Count(), err)
	}
	for suffix, want := range before {
		if got := srv.Do("HGET", data, field+suffix); got != want || want == "" {
			t.Errorf("field %q: got %q, want %q", suffix, got, want)
		}
	}
	if got := srv.Do("HLEN", data); got != "5" {
		t.Errorf("got %s fields, want 5", got)
	}
	refresh(t, s, alice, keep, p)
}

// TestRecordThatCannotBeRead checks that a session whose record is too short, as a former
// version has written it, counts as missing, and that the user's other sessions go on.
func TestRecordThatCannotBeRead(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	data := "tg:{shop:" + bucketHex(alice.User) + "}:data:LONG:42"
	for _, length := range []int{0, 1, 32, 39, 51} {
		broken, kept := login(t, s, alice, policy).Session, login(t, s, alice, policy).Session
		record := srv.Do("HGET", data, string(broken.ID[:10]))
		srv.Do("HSET", data, string(broken.ID[:10]), record[:length])
		_, refreshErr := s.Refresh(ctx, refreshStep(alice, broken, policy))
		_, logoutErr := s.Logout(ctx, logoutStep(broken, policy))
		_, revokeErr := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: broken.ID, Cause: session.CauseUser})
		for step, err := range map[string]error{
			"Refresh": refreshErr, "Logout": logoutErr, "Revoke": revokeErr, "CheckToken": s.CheckToken(ctx, refreshStep(alice, broken, policy)),
			"Live": s.Live(ctx, session.LiveStep{Owner: alice, ID: broken.ID}),
		} {
			if session.CodeOf(err) != session.Unknown {
				t.Errorf("%d bytes: %s: got %v, want %s", length, step, err, session.Unknown)
			}
		}
		if listed := list(t, s); len(listed) != 1 || listed[0].ID != kept.ID {
			t.Errorf("%d bytes: got list %v, want %s", length, listed, kept.ID)
		}
		one := policy
		one.Max = 1
		if created, err := s.Create(ctx, createStep(alice, one)); err != nil || len(created.Revoked) != 1 || created.Revoked[0].ID != kept.ID {
			t.Errorf("%d bytes: a login at the maximum: got %v, %v, want %s revoked", length, created.Revoked, err, kept.ID)
		}
		if _, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator}); err != nil {
			t.Errorf("%d bytes: RevokeOthers: %v", length, err)
		}
		if left := srv.Do("DBSIZE"); left != "2" { // tombstones and outbox
			t.Errorf("%d bytes: %s keys are left, want 2", length, left)
		}
	}
}

// bucketHex returns a user's bucket as it is in keys.
func bucketHex(user string) string {
	n := uint32(2166136261)
	for _, c := range []byte(user) {
		n = (n ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%02x", n%64)
}
