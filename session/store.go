package session

import (
	"context"
	"time"
)

// Store keeps sessions. Package storetest tests that an implementation keeps the
// contract that is written here.
//
// Each method is one business step, and it is atomic: another step on the same
// owner finds all of it done or nothing, whichever instances run the two. Only
// RevokeApp may take several steps; see there.
//
// A session is live from its creation until it is revoked or expires. A session
// that has reached its Expires or its Absolute, or that was created before its
// app's not-before, is never returned and never counted again, whether or not its
// memory has been freed. Where a method fails with Expired, or with Revoked and
// CauseApp, it may fail with Unknown instead, because the memory may have been
// freed.
//
// All times are compared with the Store's clock, which steps back if a failover promotes a
// server whose clock is behind. Until it has made up for that, each period that began before
// is longer by the difference: a session's time to its expiry, and the retry window, in which
// a token that was just spent is good. The order in which
// sessions were updated is kept nevertheless: see [Policy.StartAfter] and [Policy.Refresh].
//
// A step with a refresh token checks it with [Policy.Outcome], so that a
// policy that was tightened applies to live sessions at once. A token whose Secret is
// not the session's results in Unknown and changes nothing.
//
// Every error is an [*Error]. A step that fails has changed nothing, with these
// exceptions. After Replayed, and after an error of Refresh with CauseAccount, the
// session is revoked. After Expired, the session may be deleted. Unavailable means that
// the Store cannot tell: the step may have been done or not, and each method says what a
// retry then does. Unavailable never means that something does not exist.
//
// A Store that several instances share begins no step that comes too late, and none that
// another server may know more about: both fail with Unavailable and change nothing. See
// [Arrival].
//
// With CheckUser set, a step fails with UserUnknown or UserInactive unless
// the owner is an active user of the [Directory]. All steps except Refresh and
// CheckToken check that first. Where a step has a Caller, that
// is the session of the access token that came with the request. If Caller is not
// empty, and not a live session of the owner, the step fails with TokenRevoked,
// and with the cause if that is still known.
type Store interface {
	// Create creates a session with the values of [Policy.StartAfter]. If
	// step.RevokeChanged is set, it first revokes the owner's live sessions, of all
	// types, that are older and whose Credential does not match the new session's. If
	// the owner still has as many live sessions of the type as the policy allows, it
	// evicts the least recently updated ones (see [ByUpdated]), as many as
	// [Policy.Surplus] says, or fails with LimitReached. Under a policy without a maximum
	// and with MaxSessions or more, it looks only at the MaxEvicted sessions that are
	// first by [ByExpires], without those that it has revoked: it drops those that have
	// ended, and then evicts from the others, or fails, if too many are left and not all of
	// those have ended. If step.CheckUser is set, it
	// first fails with UserUnknown unless the user has the session's Credential in the
	// Directory, and with UserInactive unless they are active. A retry creates a second
	// session, which counts toward the maximum.
	Create(ctx context.Context, step CreateStep) (CreateResult, error)

	// Refresh applies [Policy.Refresh] to one session. It fails with Unknown if the
	// owner has no such session of the type, or if the token was not issued for it;
	// with Revoked and the cause if the session was revoked; with Expired and the
	// cause, and then deletes the session; with Replayed, and then revokes the
	// session with CauseReplay; or with Spent. If the token is good, Refresh then
	// checks the user, if step.CheckUser is set, and the session's Credential, and
	// revokes the session with CauseAccount if one of them does not fit: the error
	// is then UserUnknown, UserInactive or CredentialChanged, with that cause. If the
	// first try has spent the token, a retry within the policy's retry window returns
	// the same session with the code Retried; after the window it is a replay. The
	// retries are counted, see [Repeats]: beyond MaxRepeats of one generation, Refresh
	// fails with Throttled and changes nothing.
	Refresh(ctx context.Context, step RefreshStep) (RefreshResult, error)

	// CheckToken returns nil if the token is the current one of a session, so that
	// Refresh would return OK or Healed. Otherwise it fails as Refresh does, or with
	// Spent for every older token. It changes nothing, so a retry is safe. A spent token
	// gets nothing here, so it is not counted as a repeat.
	CheckToken(ctx context.Context, step RefreshStep) error

	// List returns the owner's live sessions of the requested types in the order
	// of [ByCreated], and none for an owner without sessions. Their expiries are
	// those of [Policy.Clamp] where step.Policies has the type. It checks the user,
	// then the caller. It changes nothing, so a retry is safe. If there are many
	// sessions, a Store may read them in several steps, the first of which checks the user
	// and the caller. A session that is created or revoked, or whose expiry is brought
	// forward, between these steps may be in the list or not; any other session is in it
	// once. Before the second step the Store calls [EnterLargeList].
	List(ctx context.Context, step ListStep) (ListResult, error)

	// Revoke revokes one session of the owner, of any type. It checks the user,
	// then the caller. It fails with Unknown if there is no such session or if it
	// has expired, and with Revoked and the cause if it was revoked. So does a
	// retry, or with TokenRevoked if the session was the caller's own. With Revoked,
	// the result's Durability is that of the earlier revocation.
	Revoke(ctx context.Context, step RevokeStep) (RevokeResult, error)

	// RevokeOthers revokes the owner's live sessions of the requested types
	// except step.Keep, which may be of any type, and returns their tombstones. If there
	// are many, a Store may return their number instead, see [RevokeResult]. The [Feed]
	// then reports one revocation for all of them, and at most 32 of them get a tombstone.
	// It checks the user, then Keep, then the caller. If Keep is not empty, it
	// fails with Unknown unless Keep is a session of the owner for whose token
	// Refresh would return OK, Healed or Retried, however often it was repeated. The caller has
	// to verify the token's signature and expiry. Keep itself is not changed. If
	// there is nothing to revoke, RevokeOthers succeeds. So does a retry, which
	// also revokes what was created meanwhile.
	RevokeOthers(ctx context.Context, step RevokeOthersStep) (RevokeResult, error)

	// Logout revokes the session of a refresh token if Refresh would return OK,
	// Healed or Retried for the token, however often it was repeated: a client must be
	// able to log out. Otherwise it fails as Refresh does, with
	// the same effects. It does not check the user. A retry fails with Revoked
	// and the cause, and its result has a Durability, as that of Revoke.
	Logout(ctx context.Context, step LogoutStep) (RevokeResult, error)

	// Live returns nil if the owner has this session, of any type, and it is
	// live, whatever the policy. Otherwise it fails with Unknown, with Revoked and
	// the cause, or with Expired and the cause. If the session's Credential does
	// not match, it fails with CredentialChanged. It changes nothing, so a retry is
	// safe.
	Live(ctx context.Context, step LiveStep) error

	// Tombstones returns the owner's tombstones of the last seven days, the
	// latest first and at most 32, and none for an owner without any. If one step
	// revoked more than 32, which of them are left out is not specified. Sessions
	// that RevokeApp revoked are included until they would have expired, unless the owner
	// has many sessions: then a Store may leave some out. It changes nothing, so a retry
	// is safe.
	Tombstones(ctx context.Context, owner Owner) ([]Tombstone, error)

	// RevokeApp revokes every session of an app that was created before this
	// step, by setting the app's not-before. A session that is created after it
	// is live, however little time has passed. The result names no sessions. A
	// Store may divide the users of an app into buckets and take one atomic step
	// for each. If RevokeApp then fails with Unavailable, the sessions of some
	// buckets may be revoked. A retry sets the not-before of every bucket anew,
	// so it also revokes the sessions that were created meanwhile.
	RevokeApp(ctx context.Context, app string) (RevokeResult, error)

	// Ready returns nil if the owner's steps could write now, and fails with Unavailable
	// otherwise. It changes nothing, so a retry is safe. The owner need not exist.
	Ready(ctx context.Context, owner Owner) error

	// ClockOffset returns how far the clock that the owner's steps use is ahead of
	// this instance's: negative if it is behind. It queries the store only if it has
	// not learned the offset yet, within a second, and fails with Unavailable if
	// there is no answer.
	ClockOffset(ctx context.Context, owner Owner) (time.Duration, error)
}

// CreateStep is the argument of [Store].Create.
type CreateStep struct {
	Owner
	Session Session // ID (new, from NewID), Type, Info, Claims, Secret and Credential; the other fields are ignored
	Policy  Policy
	// RevokeChanged, if not zero, revokes the owner's sessions that were created before
	// this time with another Credential. It has no effect if the new session's is zero.
	RevokeChanged time.Time
	// CheckUser is User.InStore. The user must still have the Credential and be
	// active: checking a password takes long enough for either to change.
	CheckUser bool
}

// CreateResult is the result of [Store].Create.
type CreateResult struct {
	Session    Session
	Revoked    []Tombstone // those evicted, and those of another credential
	Now        time.Time   // the store's time of the step, as in all results
	Durability Durability
}

// RefreshStep is the argument of [Store].Refresh.
type RefreshStep struct {
	Owner
	ID        ID
	Type      Type
	Presented // what the refresh token carries
	Policy    Policy
	// CheckUser checks the owner in the Directory. The credential and the claims
	// are then those of the account, and the next two fields are not used.
	CheckUser bool
	// Credential is the user's present one. A session without one takes it over.
	Credential Fingerprint
	// Tentative is set if Credential may be out of date. If it does not match,
	// Refresh then fails with CredentialChanged and changes nothing.
	Tentative bool
	Client    ClientTag
}

// RefreshResult is the result of [Store].Refresh. Code is OK, Retried or Healed.
// Session.Info is not set. Session.Claims are those of the login, or with CheckUser
// the present ones of the account.
type RefreshResult struct {
	Code       Code
	Moved      bool // Retried, and from another network than the refresh that spent the token
	Session    Session
	Now        time.Time
	Durability Durability
}

// ListStep is the argument of [Store].List.
type ListStep struct {
	Owner
	Caller    ID // empty means that the caller is not checked
	Types     []Type
	Policies  map[Type]Policy // the expiries of a type that is missing here are the stored ones
	CheckUser bool
}

// ListResult is the result of [Store].List.
type ListResult struct {
	Sessions []Session
	Now      time.Time
}

// RevokeStep is the argument of [Store].Revoke.
type RevokeStep struct {
	Owner
	Caller    ID // empty means that the caller is not checked
	ID        ID
	Cause     Cause
	By        string // as in Tombstone; may hold any characters
	CheckUser bool
}

// RevokeOthersStep is the argument of [Store].RevokeOthers.
type RevokeOthersStep struct {
	Owner
	Caller     ID        // empty means that the caller is not checked
	Keep       ID        // empty means that no session is kept
	KeepToken  Presented // what Keep's refresh token carries
	KeepPolicy Policy    // of Keep's type
	Types      []Type
	Cause      Cause
	By         string // as in Tombstone; may hold any characters
	CheckUser  bool
}

// LiveStep is the argument of [Store].Live.
type LiveStep struct {
	Owner
	ID         ID
	Credential Fingerprint // the user's present one; zero means not compared
}

// LogoutStep is the argument of [Store].Logout.
type LogoutStep struct {
	Owner
	ID        ID
	Type      Type
	Presented // what the refresh token carries
	Policy    Policy
	Cause     Cause // empty means CauseLogout
}

// RevokeResult is the result of a step that revokes sessions.
type RevokeResult struct {
	Revoked    []Tombstone // in no particular order; none if Many is set
	Many       *Revocation // if RevokeOthers has revoked sessions without naming them: how the Feed reports it
	Number     int         // with Many: how many sessions these were. It may include some that were revoked with their app before
	Now        time.Time
	Durability Durability
}

// Count returns how many sessions the step has revoked. It is 0 for RevokeApp, which does
// not count them.
func (r RevokeResult) Count() int { return len(r.Revoked) + r.Number }

// Durability reports whether replicas have the changes of a step. It is always
// NotRequested unless the store waits for replicas (WAIT_REPLICAS).
type Durability string

// Values of Durability.
const (
	NotRequested Durability = ""           // not asked for, or there is nothing to replicate
	Pending      Durability = "pending"    // done, but too few replicas confirmed it in time
	Replicated   Durability = "replicated" // as many replicas as WAIT_REPLICAS says have it
)

// And returns the durability of two steps together: Pending if either is, else
// Replicated if either is.
func (d Durability) And(other Durability) Durability {
	if d == Pending || other == NotRequested {
		return d
	}
	return other
}
