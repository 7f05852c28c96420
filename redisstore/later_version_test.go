package redisstore_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// reachedSize is REACHED_SIZE in lua/include/prelude.lua: the length of a record after a
// refresh that has reached a generation.
const reachedSize = 61

// TestRecordOfLaterVersion checks that every step works on what a later version has
// written: a record with a higher format version and more bytes, and further fields of
// the data hash. A refresh keeps the version and the bytes.
func TestRecordOfLaterVersion(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	for _, more := range []string{"", "+", "\x00", "eight by", "\xff and sixteen bytes", strings.Repeat("long", 100)} {
		first := login(t, s, alice, policy).Session
		current := refresh(t, s, alice, first, policy)
		data, field := "tg:{shop:"+bucketHex(alice.User)+"}:data:LONG:42", string(current.ID[:10])
		record := srv.Do("HGET", data, field)
		srv.Do("HSET", data, field, string(record[0]+1)+record[1:]+more, field+"u", "user agent", "meta", "short", "another field of ten", "x")

		for range 2 { // each refresh rotates
			current = refresh(t, s, alice, current, policy)
			written := srv.Do("HGET", data, field)
			if len(record) != reachedSize || written[0] != record[0]+1 || written[reachedSize:] != more || written[1:5] == record[1:5] {
				t.Errorf("%q: a refresh has written %q", more, written)
			}
			record = string(record[0]) + written[1:reachedSize]
		}
		spent := current
		spent.Generation--
		if refresh(t, s, alice, spent, policy); !strings.HasSuffix(srv.Do("HGET", data, field), more) {
			t.Errorf("%q: a repeat has written %q", more, srv.Do("HGET", data, field))
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

// TestRecordOfOlderVersion checks that records work that a version has written which knows 52
// bytes of a record and keeps those that follow: what it has kept of another generation means
// nothing.
func TestRecordOfOlderVersion(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	data := "tg:{shop:" + bucketHex(alice.User) + "}:data:LONG:42"
	const oldSize = 52
	reach := func(current session.Session) session.Session { // as that version does
		field := string(current.ID[:10])
		record := []byte(srv.Do("HGET", data, field))
		current.Generation++
		binary.BigEndian.PutUint32(record[1:], current.Generation)
		srv.Do("HSET", data, field, string(record))
		return current
	}
	from := func(network string, current session.Session) session.RefreshStep {
		step := refreshStep(alice, current, policy)
		step.Client = session.NewClientTag(current.Secret, network)
		return step
	}
	for _, repeats := range []int{0, 1, session.MaxRepeats} {
		first := login(t, s, alice, policy).Session
		if got := len(srv.Do("HGET", data, string(first.ID[:10]))); got != oldSize {
			t.Fatalf("a new session has a record of %d bytes, want %d", got, oldSize)
		}
		refreshed, err := s.Refresh(ctx, from("a", first))
		if err != nil {
			t.Fatal(err)
		}
		for range repeats {
			if _, err := s.Refresh(ctx, from("a", first)); err != nil {
				t.Fatal(err)
			}
		}
		third := reach(refreshed.Session)
		for n := range session.MaxRepeats {
			result, err := s.Refresh(ctx, from("b", refreshed.Session))
			if err != nil || result.Code != session.Retried || result.Moved {
				t.Fatalf("after %d repeats: repeat %d of the next token: got %s, moved %t, %v; want %s, not moved", repeats, n, result.Code, result.Moved, err, session.Retried)
			}
		}
		if _, err := s.Refresh(ctx, from("b", refreshed.Session)); session.CodeOf(err) != session.Throttled {
			t.Errorf("after %d repeats: got %v, want %s", repeats, err, session.Throttled)
		}
		fourth := refresh(t, s, alice, third, policy)
		for _, length := range []int{oldSize, oldSize + 3} { // the second is no version's
			field := string(fourth.ID[:10])
			srv.Do("HSET", data, field, srv.Do("HGET", data, field)[:length])
			if result, err := s.Refresh(ctx, from("b", third)); err != nil || result.Moved {
				t.Errorf("%d bytes: a repeat: got moved %t, %v", length, result.Moved, err)
			}
		}
		refresh(t, s, alice, fourth, policy)
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
