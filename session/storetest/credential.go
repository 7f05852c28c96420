package storetest

import (
	"time"

	"tokengate/session"
)

var credentialTests = map[string]func(*fixture){
	"a refresh compares it":                       credentialRefresh,
	"a tentative one ends nothing":                credentialTentative,
	"it is compared only if both are known":       credentialUnknown,
	"the account's own is compared":               credentialOfAccount,
	"Live and CheckToken compare it":              credentialLive,
	"a login revokes the sessions of another one": credentialLogin,
	"a login revokes no later session":            credentialSlowLogin,
}

// loginWith creates a session with a credential. If revokeChanged is set, it revokes those
// that were created before this moment with another one.
func (f *fixture) loginWith(credential session.Fingerprint, t session.Type, revokeChanged bool) session.CreateResult {
	f.Helper()
	var before time.Time
	if revokeChanged {
		f.tick()
		listed, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Types: session.Types})
		f.noError(err, "List")
		before = listed.Now
	}
	return f.loginBefore(credential, t, before)
}

func (f *fixture) loginBefore(credential session.Fingerprint, t session.Type, before time.Time) session.CreateResult {
	f.Helper()
	out, err := f.Store.Create(f.ctx, session.CreateStep{
		Owner: f.owner, Policy: f.policy, RevokeChanged: before,
		Session: session.Session{ID: session.NewID(), Type: t, Secret: session.NewSecret(), Credential: credential},
	})
	f.noError(err, "Create")
	return out
}

// credentialStep returns the refresh of s with its current token by a user with a
// credential.
func (f *fixture) credentialStep(s session.Session, credential session.Fingerprint) session.RefreshStep {
	return session.RefreshStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: f.policy, Credential: credential,
	}
}

func credentialRefresh(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	s, other := f.loginWith(a, session.Long, false).Session, f.loginWith(b, session.Long, false).Session
	result, err := f.Store.Refresh(f.ctx, f.credentialStep(s, a))
	f.noError(err, "Refresh")
	if result.Session.Credential != a {
		f.Errorf("got credential %x, want %x", result.Session.Credential, a)
	}
	forged := f.credentialStep(result.Session, b)
	forged.Secret[0]++
	_, err = f.Store.Refresh(f.ctx, forged)
	f.wantError(err, session.Unknown, "")
	_, err = f.Store.Refresh(f.ctx, f.credentialStep(result.Session, b))
	f.wantError(err, session.CredentialChanged, session.CauseAccount)
	_, err = f.Store.Refresh(f.ctx, f.credentialStep(result.Session, a))
	f.wantError(err, session.Revoked, session.CauseAccount)
	f.wantList(other.ID)
}

func credentialTentative(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	s := f.loginWith(a, session.Long, false).Session
	step := f.credentialStep(s, b)
	step.Tentative = true
	_, err := f.Store.Refresh(f.ctx, step)
	f.wantError(err, session.CredentialChanged, "")
	stored, _ := f.stored(s.ID)
	f.wantSession("List", stored, s)
	step.Credential = a
	_, err = f.Store.Refresh(f.ctx, step)
	f.noError(err, "Refresh")
}

// credentialUnknown checks that a session without a credential takes over the one of its
// next refresh, and that a refresh without one compares nothing.
func credentialUnknown(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	s := f.login()
	for _, credential := range []session.Fingerprint{{}, a, {}, a} {
		result, err := f.Store.Refresh(f.ctx, f.credentialStep(s, credential))
		f.noError(err, "Refresh")
		s = result.Session
	}
	if s.Credential != a {
		f.Errorf("got credential %x, want %x", s.Credential, a)
	}
	_, err := f.Store.Refresh(f.ctx, f.credentialStep(s, b))
	f.wantError(err, session.CredentialChanged, session.CauseAccount)
}

// credentialOfAccount checks that a step with CheckUser compares the session with the
// account of the directory, and returns the account's claims.
func credentialOfAccount(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	account := session.Account{
		ID: session.TextID(f.owner.User), Username: "zoë", Password: "x", Active: true, Credential: a, Claims: []byte(`{"n":1}`),
	}
	f.noError(f.replaceAccount(f.owner.App, account), "PutAccount")
	s := f.loginWith(a, session.Long, false).Session
	step := f.credentialStep(s, b) // not used
	step.CheckUser, step.Tentative = true, true
	result, err := f.Store.Refresh(f.ctx, step)
	f.noError(err, "Refresh")
	if string(result.Session.Claims) != `{"n":1}` {
		f.Errorf("got claims %s, want those of the account", result.Session.Claims)
	}
	step.Presented = token(result.Session)
	f.noError(f.Store.CheckToken(f.ctx, step), "CheckToken")
	account.Credential, account.Claims = b, nil
	f.noError(f.replaceAccount(f.owner.App, account), "PutAccount")
	f.wantError(f.Store.CheckToken(f.ctx, step), session.CredentialChanged, "")
	_, err = f.Store.Refresh(f.ctx, step)
	f.wantError(err, session.CredentialChanged, session.CauseAccount)
	f.wantList()
}

func credentialLive(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	s := f.loginWith(a, session.Short, false).Session
	for credential, want := range map[session.Fingerprint]session.Code{a: session.OK, {}: session.OK, b: session.CredentialChanged} {
		f.wantError(f.Store.Live(f.ctx, session.LiveStep{Owner: f.owner, ID: s.ID, Credential: credential}), want, "")
		f.wantError(f.Store.CheckToken(f.ctx, f.credentialStep(s, credential)), want, "")
	}
	unknown := f.login()
	f.noError(f.Store.Live(f.ctx, session.LiveStep{Owner: f.owner, ID: unknown.ID, Credential: b}), "Live without a credential")
}

// credentialLogin checks that a login with RevokeChanged revokes the live sessions of all
// types that have another credential, before it counts toward the maximum.
func credentialLogin(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	unknown := f.login()
	long, short := f.loginWith(a, session.Long, true).Session, f.loginWith(a, session.Short, true).Session
	f.wantIDSet("List", ids(f.mustList(f.owner)), unknown.ID, long.ID, short.ID)
	f.loginWith(session.Fingerprint{}, session.Long, true)
	f.loginWith(b, session.Short, false)
	if n := len(f.mustList(f.owner)); n != 5 {
		f.Fatalf("got %d sessions, want 5", n)
	}
	f.policy = f.withMaximum(3, false)
	out := f.loginWith(b, session.Long, true)
	f.wantIDSet("revoked", tombstoneIDs(out.Revoked), long.ID, short.ID)
	for _, t := range out.Revoked {
		if t.Cause != session.CauseAccount || t.By != "" {
			f.Errorf("got tombstone %+v, want the cause %s", t, session.CauseAccount)
		}
	}
	f.wantError(f.live(f.owner, short.ID), session.Revoked, session.CauseAccount)
	if n := len(f.mustList(f.owner)); n != 4 {
		f.Errorf("got %d sessions, want 4", n)
	}
}

// credentialSlowLogin checks that a login revokes no session that was created after it
// began.
func credentialSlowLogin(f *fixture) {
	a, b := session.Fingerprint{1}, session.Fingerprint{2}
	older := f.loginWith(b, session.Long, false)
	f.Advance(time.Second)
	began := older.Now.Add(time.Second)
	later := f.loginWith(b, session.Short, false)
	out := f.loginBefore(a, session.Long, began)
	f.wantIDs("revoked", tombstoneIDs(out.Revoked), older.Session.ID)
	f.noError(f.live(f.owner, later.Session.ID), "Live")
}
