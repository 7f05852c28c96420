package storetest

import (
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

func (c *comparison) compareCreate(p session.Policy) {
	step := session.CreateStep{
		Owner: c.owner, Policy: p, CheckUser: c.random.IntN(6) == 0,
		Session: session.Session{
			ID: c.newID(), Type: session.Types[c.random.IntN(2)], Info: fmt.Sprint("device ", c.random.IntN(9)),
			Secret: c.newSecret(), Credential: c.randomCredential(),
		},
	}
	if c.random.IntN(6) == 0 {
		step.RevokeChanged = c.Clock().Add(-time.Duration(c.random.IntN(3)) * time.Second)
	}
	got, err := c.Store.Create(c.ctx, step)
	want, wantErr := c.model.Create(c.ctx, step)
	if c.compareErrors("Create", err, wantErr, nil) {
		c.wantSession("Create", got.Session, want.Session)
		c.wantSameTombstones("Create: Revoked", got.Revoked, want.Revoked)
		c.addToken(want.Session)
		for _, t := range want.Revoked {
			c.countIf(true, "Create revokes: "+string(t.Cause))
		}
	}
}

func (c *comparison) compareRefresh(p session.Policy) {
	s := c.pickTarget()
	step := session.RefreshStep{
		Owner: c.owner, ID: s.ID, Type: s.Type, Presented: c.randomPresented(s), Policy: p, CheckUser: c.random.IntN(10) == 0,
		Tentative: c.randomBool(),
	}
	step.Client[0] = byte(c.random.IntN(3))
	if c.random.IntN(4) == 0 {
		step.Credential = c.randomCredential()
	}
	repeats := 0
	if c.random.IntN(8) == 0 {
		repeats = session.MaxRepeats
	}
	for again := c.compareRefreshStep(step, s); again && repeats > 0; repeats-- {
		again = c.compareRefreshStep(step, s)
	}
}

// compareRefreshStep compares one refresh of s. It reports whether it was a repeat.
func (c *comparison) compareRefreshStep(step session.RefreshStep, s session.Session) bool {
	allowed := c.allowedIfRevokedOrExpired(s.ID)
	got, err := c.Store.Refresh(c.ctx, step)
	want, wantErr := c.model.Refresh(c.ctx, step)
	if c.compareErrors("Refresh", err, wantErr, allowed) {
		if got.Code != want.Code || got.Moved != want.Moved {
			c.Errorf("Refresh: got code %s, moved %t; the model has %s, %t", got.Code, got.Moved, want.Code, want.Moved)
		}
		c.countIf(want.Moved, "Refresh moved")
		c.wantSession("Refresh", got.Session, want.Session)
		c.countIf(want.Code != session.OK, "Refresh "+string(want.Code))
		c.countIf(want.Session.Expires.After(s.Expires), "Refresh extends")
		if want.Code != session.Retried {
			c.addToken(want.Session)
		}
	}
	return want.Code == session.Retried
}

func (c *comparison) compareCheckToken(p session.Policy) {
	s := c.pickTarget()
	step := session.RefreshStep{
		Owner: c.owner, ID: s.ID, Type: s.Type, Presented: c.randomPresented(s), Policy: p,
		CheckUser: c.random.IntN(10) == 0, Credential: c.randomCredential(),
	}
	allowed := c.allowedIfRevokedOrExpired(s.ID)
	c.compareErrors("CheckToken", c.Store.CheckToken(c.ctx, step), c.model.CheckToken(c.ctx, step), allowed)
}

// addToken records the session that a new token was issued for.
func (c *comparison) addToken(s session.Session) {
	c.tokens[c.owner] = append(c.tokens[c.owner], s)
	if known := c.latest[c.owner][s.ID]; known != nil {
		known.Session = s
		return
	}
	c.latest[c.owner][s.ID] = &latestState{Session: s}
}

func (c *comparison) compareRevoke() {
	step := session.RevokeStep{
		Owner: c.owner, Caller: c.randomCaller(), ID: c.pickTarget().ID, Cause: session.CauseUser, By: "",
		CheckUser: c.random.IntN(10) == 0,
	}
	if c.randomBool() {
		step.Cause, step.By = session.CauseOperator, "ops|1"
	}
	allowed := c.allowedIfRevokedOrExpired(step.ID)
	got, err := c.Store.Revoke(c.ctx, step)
	want, wantErr := c.model.Revoke(c.ctx, step)
	if c.compareErrors("Revoke", err, wantErr, allowed) {
		c.wantSameTombstones("Revoke", got.Revoked, want.Revoked)
	}
}

func (c *comparison) compareRevokeOthers() {
	keep := c.pickTarget()
	step := session.RevokeOthersStep{
		Owner: c.owner, Caller: c.randomCaller(), Types: [][]session.Type{session.Types, {session.Long}, {session.Short}}[c.random.IntN(3)],
		Cause: session.CauseOthers, CheckUser: c.random.IntN(10) == 0, KeepPolicy: c.randomPolicy(),
	}
	if c.random.IntN(4) > 0 {
		step.Keep, step.KeepToken = keep.ID, c.randomPresented(keep)
	}
	got, err := c.Store.RevokeOthers(c.ctx, step)
	want, wantErr := c.model.RevokeOthers(c.ctx, step)
	if c.compareErrors("RevokeOthers", err, wantErr, nil) {
		c.wantSameTombstones("RevokeOthers", got.Revoked, want.Revoked)
		c.countIf(len(want.Revoked) > 0, "RevokeOthers revokes")
	}
}

func (c *comparison) compareLogout(p session.Policy) {
	s := c.pickTarget()
	step := session.LogoutStep{Owner: c.owner, ID: s.ID, Type: s.Type, Presented: c.randomPresented(s), Policy: p}
	allowed := c.allowedIfRevokedOrExpired(s.ID)
	got, err := c.Store.Logout(c.ctx, step)
	want, wantErr := c.model.Logout(c.ctx, step)
	if c.compareErrors("Logout", err, wantErr, allowed) {
		c.wantSameTombstones("Logout", got.Revoked, want.Revoked)
	}
}

// compareList compares List under a policy. compareLists compares it without one.
func (c *comparison) compareList() {
	step := session.ListStep{Owner: c.owner, Caller: c.randomCaller(), Types: session.Types, CheckUser: c.randomBool()}
	step.Policies = map[session.Type]session.Policy{session.Long: c.randomPolicy(), session.Short: c.randomPolicy()}
	got, err := c.Store.List(c.ctx, step)
	want, wantErr := c.model.List(c.ctx, step)
	if !c.compareErrors("List", err, wantErr, nil) {
		return
	}
	c.wantIDs("List under a policy", ids(got.Sessions), ids(want.Sessions)...)
	for i := range want.Sessions {
		c.wantSession("List under a policy", got.Sessions[i], want.Sessions[i])
	}
}

func (c *comparison) compareLive() {
	id := c.pickTarget().ID
	allowed := c.allowedIfRevokedOrExpired(id)
	step := session.LiveStep{Owner: c.owner, ID: id, Credential: c.randomCredential()}
	c.compareErrors("Live", c.Store.Live(c.ctx, step), c.model.Live(c.ctx, step), allowed)
}

// compareDirectory writes the owner as an active or inactive user, or removes the user.
// The username is one of two, by n, so that owners conflict.
func (c *comparison) compareDirectory(n int) {
	if c.random.IntN(4) == 0 {
		id, app := session.TextID(c.owner.User), c.owner.App
		_, err := c.Directory.RemoveAccount(c.ctx, app, id)
		_, wantErr := c.model.Directory().RemoveAccount(c.ctx, app, id)
		c.compareErrors("RemoveAccount", err, wantErr, nil)
		return
	}
	c.comparePutAccount(c.owner, fmt.Sprint("name", n%2), c.random.IntN(3) > 0)
}

// comparePutAccount writes a user. Now and then it writes the user as a new one, although
// there may be one already.
func (c *comparison) comparePutAccount(o session.Owner, username string, active bool) {
	a := session.Account{ID: session.TextID(o.User), Username: username, Password: "x", Active: active}
	var was session.Account
	if c.random.IntN(8) > 0 {
		was, _ = c.model.Directory().Account(c.ctx, o.App, a.ID)
	}
	_, err := c.Directory.PutAccount(c.ctx, o.App, a, was)
	_, wantErr := c.model.Directory().PutAccount(c.ctx, o.App, a, was)
	c.compareErrors("PutAccount", err, wantErr, nil)
}

func (c *comparison) countIf(happened bool, outcome string) {
	if happened {
		c.outcomes[outcome]++
	}
}

// compareRevokeApp revokes the sessions of the owner's app. It then moves the clock, because
// a store may record a session created at the time of a RevokeApp as created a little later.
func (c *comparison) compareRevokeApp() {
	_, err := c.Store.RevokeApp(c.ctx, c.owner.App)
	_, wantErr := c.model.RevokeApp(c.ctx, c.owner.App)
	c.compareErrors("RevokeApp", err, wantErr, nil)
	for o, all := range c.latest {
		for _, s := range all {
			s.revokedByApp = s.revokedByApp || o.App == c.owner.App
		}
	}
	c.Advance(2 * time.Millisecond)
}

// allowedIfRevokedOrExpired returns the answers that the contract allows about a session that RevokeApp
// revoked or that has expired, and nil for any other session.
func (c *comparison) allowedIfRevokedOrExpired(id session.ID) (allowed []string) {
	s := c.latest[c.owner][id]
	if s == nil {
		return nil
	}
	if s.revokedByApp {
		allowed = append(allowed, formatError(session.Revoked, session.CauseApp))
	}
	if _, expired := session.ExpiryCause(s.Session, c.Clock()); expired { // at which limit, depends on the step's policy
		allowed = append(allowed, formatError(session.Expired, session.CauseExpired), formatError(session.Expired, session.CauseAbsolute))
	}
	if allowed != nil {
		allowed = append(allowed, formatError(session.Unknown, ""))
	}
	return allowed
}

func formatError(code session.Code, cause session.Cause) string {
	return string(code) + " " + string(cause)
}

// compareErrors compares the errors of both stores, and reports whether both are nil. They
// may differ if both are in allowed.
func (c *comparison) compareErrors(step string, got, want error, allowed []string) bool {
	c.Helper()
	code, cause := session.CodeOf(got), session.CauseOf(got)
	wantCode, wantCause := session.CodeOf(want), session.CauseOf(want)
	c.outcomes[step+" "+string(wantCode)]++
	if slices.Contains(allowed, formatError(code, cause)) && slices.Contains(allowed, formatError(wantCode, wantCause)) {
		return false
	}
	if code == session.TokenRevoked && (cause == "" || wantCause == "") {
		wantCause = cause // one of the stores may have dropped the tombstone of the caller
	}
	if (code != wantCode || cause != wantCause) && !c.tombstoneMayBeDropped(got, want) {
		c.Errorf("%s: got %v, the model has %v", step, got, want)
	}
	return got == nil && want == nil
}

// tombstoneMayBeDropped reports whether the errors may differ because one store has a
// tombstone that the other has dropped. At the limit a store may choose which tombstones of
// one moment it keeps.
func (c *comparison) tombstoneMayBeDropped(got, want error) bool {
	codes := []session.Code{session.CodeOf(got), session.CodeOf(want)}
	tombstones, err := c.model.Tombstones(c.ctx, c.owner)
	c.noError(err, "Tombstones of the model")
	return len(tombstones) >= maxTombstones && slices.Contains(codes, session.Revoked) && slices.Contains(codes, session.Unknown)
}

func (c *comparison) modelList() []session.Session {
	c.Helper()
	listed, err := c.model.List(c.ctx, session.ListStep{Owner: c.owner, Types: session.Types})
	c.noError(err, "List of the model")
	return listed.Sessions
}

// compareLists compares the sessions that both stores list.
func (c *comparison) compareLists() {
	c.Helper()
	got, want := c.mustList(c.owner), c.modelList()
	c.wantIDs("List", ids(got), ids(want)...)
	for i, w := range want {
		c.wantSession("List", got[i], w)
		if got[i].Info != w.Info {
			c.Errorf("List: got info %q, the model has %q", got[i].Info, w.Info)
		}
	}
}

// compareTombstones compares the tombstones of both stores while they are below the limit,
// at which stores may choose which ones they drop.
func (c *comparison) compareTombstones() {
	c.Helper()
	got, err := c.Store.Tombstones(c.ctx, c.owner)
	c.noError(err, "Tombstones")
	want, err := c.model.Tombstones(c.ctx, c.owner)
	c.noError(err, "Tombstones of the model")
	if len(want) < maxTombstones {
		c.wantSameTombstones("Tombstones", got, want)
	}
}

func (c *comparison) wantSameTombstones(what string, got, want []session.Tombstone) {
	c.Helper()
	if g, w := tombstoneLines(got), tombstoneLines(want); !slices.Equal(g, w) {
		c.Errorf("%s: got %v, the model has %v", what, g, w)
	}
}

// tombstoneLines returns tombstones as sorted text, to compare them regardless of their
// order. It omits those of RevokeApp, which a store need not keep.
func tombstoneLines(tombstones []session.Tombstone) []string {
	var out []string
	for _, t := range tombstones {
		if t.Cause != session.CauseApp {
			out = append(out, fmt.Sprint(t.ID, " ", t.Cause, " ", t.By, " ", t.At.UnixMilli()))
		}
	}
	slices.Sort(out)
	return out
}
