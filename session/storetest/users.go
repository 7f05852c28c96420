package storetest

import (
	"context"
	"fmt"
	"strings"

	"tokengate/session"
)

var userTests = map[string]func(*fixture){
	"MustBeActive":    userChecked,
	"SamePassword":    userSamePassword,
	"OnlyWhereAsked":  userUnchecked,
	"NumbersAreTexts": userNumber,
	"OddIDs":          userOddIDs,
}

// userChecked asks each step that can for a user who isn't there, who is, who
// is not active and who was removed.
func userChecked(f *fixture) {
	s, target := f.login(), f.login()
	for _, state := range []struct {
		code session.Code
		set  func() error
	}{
		{session.UserUnknown, func() error { return nil }},
		{session.UserInactive, func() error { return f.put(f.owner, "zoë", false) }},
		{session.OK, func() error { return f.put(f.owner, "zoë", true) }},
		{session.UserUnknown, func() error {
			return f.remove(f.owner.App, session.TextID(f.owner.User))
		}},
	} {
		f.ok(state.set(), "setting the user")
		before, traces := f.listed(f.owner), f.traces(f.owner)
		for name, step := range f.checkedSteps(&s, target.ID) {
			if err := step(f.ctx); session.CodeOf(err) != state.code {
				f.Errorf("%s: got %v, want %s", name, err, state.code)
			}
		}
		if state.code == session.OK {
			target = f.login()
			continue
		}
		for i, got := range f.listed(f.owner) {
			f.same("List after "+string(state.code), got, before[i])
		}
		f.wantTraces(f.owner, traces...)
	}
}

func (f *fixture) checkedSteps(s *session.Session, target session.ID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error {
			_, err := f.Store.Create(ctx, session.CreateStep{
				Owner: f.owner, Hash: "x", Policy: f.policy,
				Session: session.Session{ID: session.NewID(), Type: session.Short},
			})
			return err
		},
		"Refresh": func(ctx context.Context) error {
			done, err := f.Store.Refresh(ctx, session.RefreshStep{
				Owner: f.owner, CheckUser: true, Policy: f.policy, ID: s.ID, Type: s.Type, Presented: token(*s),
			})
			if err == nil {
				*s = done.Session
			}
			return err
		},
		"List": func(ctx context.Context) error {
			_, err := f.Store.List(ctx, session.ListStep{Owner: f.owner, CheckUser: true, Types: session.Types})
			return err
		},
		"End": func(ctx context.Context) error {
			_, err := f.Store.End(ctx, session.EndStep{
				Owner: f.owner, CheckUser: true, ID: target, Cause: session.CauseUser,
			})
			return err
		},
		"EndOthers": func(ctx context.Context) error {
			step := f.othersStep("", session.Session{}, 0)
			step.CheckUser, step.Types = true, []session.Type{session.Short}
			_, err := f.Store.EndOthers(ctx, step)
			return err
		},
	}
}

// userSamePassword: a login whose password was checked before it was changed
// begins no session, and ends none.
func userSamePassword(f *fixture) {
	f.policy.Max = 1
	kept := f.login()
	step := session.CreateStep{
		Owner: f.owner, Policy: f.policy, Session: session.Session{ID: session.NewID(), Type: kept.Type},
	}
	a := session.Account{ID: session.TextID(f.owner.User), Username: "zoë", Active: true}
	for _, stored := range []string{"x", "x ", "", "xx"} {
		a.Password = stored
		f.ok(f.replace(f.owner.App, a), "Put")
		for _, matched := range []string{"X", "x\x00", "xy"} {
			step.Hash = matched
			if _, err := f.Store.Create(f.ctx, step); session.CodeOf(err) != session.UserUnknown {
				f.Errorf("Create with %q in the place of %q: %v", stored, matched, err)
			}
		}
	}
	f.same("List", f.listed(f.owner)[0], kept)
	step.Hash = a.Password
	_, err := f.Store.Create(f.ctx, step)
	f.ok(err, "Create")
}

// put writes a user whose id is an owner's.
func (f *fixture) put(o session.Owner, username string, active bool) error {
	return f.replace(o.App, session.Account{
		ID: session.TextID(o.User), Username: username, Password: "x", Active: active,
	})
}

func userUnchecked(f *fixture) {
	f.ok(f.put(f.owner, "zoë", false), "Put")
	s := f.refresh(f.login(), f.policy)
	_, err := f.logout(s, token(s), f.policy)
	f.ok(err, "Logout")
}

// userNumber: 42 and "42" are the same owner.
func userNumber(f *fixture) {
	f.owner.User = "42"
	f.ok(f.replace(f.owner.App, session.Account{
		ID: session.NumberID(42), Username: "zoë", Password: "x", Active: true,
	}), "Put")
	s := f.login()
	for name, step := range f.checkedSteps(&s, s.ID) {
		if name == "List" || name == "Create" {
			f.ok(step(f.ctx), name)
		}
	}
}

// userOddIDs has users whose ids are a store's punctuation, or one another's
// escapes. Each must be somebody of his own in every step.
func userOddIDs(f *fixture) {
	users := []string{
		"{", "}", "{}", "{shop:00}", "}{", ":", "a:b", "a:b:c", "|", "a|b", "%", "%7b", "%7B", "%7d", "%3a", "%3A",
		"%25", "%257b", "a%3Ab", "a%3ab", "a_b", "a b", " ", "a\nb", "a\x00b", "\\", "\"", "'", "*", "?", "[a-z]",
		"42", "042", "LONG:42", "data:LONG:42", "gone:42", "endings", "epoch", "ユーザー", "é", "e\u0301", "👩‍💻",
		strings.Repeat("u", 512), strings.Repeat("u", 511) + "v", strings.Repeat(":", 512), strings.Repeat("é", 256),
	}
	sessions := map[string]session.Session{}
	for i, user := range users {
		f.owner.User = user
		f.wantIDs(fmt.Sprintf("List of new %.20q", user), ids(f.listed(f.owner)))
		if i%2 == 0 {
			f.ok(f.put(f.owner, "name of "+user, true), "Put")
		}
		sessions[user] = f.refresh(f.login(), f.policy)
	}
	for i, user := range users {
		f.owner.User = user
		s := sessions[user]
		f.wantIDs(fmt.Sprintf("List of %.20q", user), ids(f.listed(f.owner)), s.ID)
		want := session.OK
		if i%2 == 1 {
			want = session.UserUnknown
		}
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, CheckUser: true, Types: session.Types})
		if session.CodeOf(err) != want {
			f.Errorf("List of %.20q: got %v, want %s", user, err, want)
		}
		out, err := f.create(f.owner, session.Long, f.capped(1, true))
		f.ok(err, "Create")
		f.wantTraces(f.owner, out.Evicted...)
		f.wantIDs("Evicted", endedIDs(out.Evicted), s.ID)
		_, err = f.logout(out.Session, token(out.Session), f.policy)
		f.ok(err, "Logout")
	}
}
