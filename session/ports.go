package session

import (
	"context"
	"encoding/json"
	"time"
)

// Store keeps sessions. Each method is one business step and one atomic step:
// no other step on the same owner is seen half done, whichever instance runs
// it. Errors are *Error; a store that cannot answer says Unavailable, and the
// step may or may not have happened: every method says what a retry does.
//
// A session that is past its Expires, its Absolute or its app's epoch is never
// seen again, whether or not its memory has been freed.
type Store interface {
	// Create begins a session. At the policy's maximum it ends the least
	// recently updated ones (LessRecent), as many as are over, or refuses with
	// LimitReached and changes nothing. UserUnknown and UserInactive where
	// Hash asks. A retry begins a second session, which the cap counts.
	Create(ctx context.Context, step CreateStep) (Created, error)

	// Refresh runs Policy.Refresh on one session. Fails with Unknown; Ended
	// and a cause; Expired and a cause (the record is removed); Replayed (ended
	// now); Spent; UserUnknown, UserInactive. A retry with the token just spent
	// gets the same session again within the policy's window.
	Refresh(ctx context.Context, step RefreshStep) (Refreshed, error)

	// List gives the owner's sessions of the types asked for, the oldest first
	// by Created, then ID. Fails with TokenRevoked, and the cause where it is
	// known, when the caller's own session is over; UserUnknown, UserInactive.
	// Changes nothing.
	List(ctx context.Context, step ListStep) (Listed, error)

	// End ends one session. Fails with TokenRevoked as List does, else Unknown,
	// or Ended and a cause, when it is not there: a retry finds that.
	End(ctx context.Context, step EndStep) (Receipt, error)

	// EndOthers ends the owner's sessions of the types asked for, except Keep,
	// and says which. With Keep set it first fails with Unknown, and ends
	// nothing, unless Keep is live and at the generation that KeepGeneration
	// says, or spent within the retry window, or ahead of the record, as a
	// token is whose rotation was lost (Refresh would heal it); then with
	// TokenRevoked as List does. The token is the caller's to check: signature
	// and time. Nothing to end is a success, and so is a retry.
	EndOthers(ctx context.Context, step EndOthersStep) (Receipt, error)

	// Logout ends the session that a refresh token names. A spent token fails
	// as it does at Refresh, and ends the session in the same cases; within the
	// retry window it is as good as its successor.
	Logout(ctx context.Context, step LogoutStep) (Receipt, error)
}

// Ledger is what operators and verifiers ask of a store beyond Store.
type Ledger interface {
	// Live tells whether one session is. Unknown, Ended or Expired if not.
	Live(ctx context.Context, owner Owner, id ID) error

	// Traces gives the owner's lately ended sessions, the latest first.
	Traces(ctx context.Context, owner Owner) ([]Trace, error)

	// EndApp ends every session of an app that began before now, in one step
	// per bucket; users log in again at once. A retry moves the moment.
	EndApp(ctx context.Context, app string) (Receipt, error)
}

// Feed reports the endings of every instance to this one.
type Feed interface {
	// Follow reports to sink until ctx is done. It reconnects by itself.
	Follow(ctx context.Context, apps []string, sink Sink) error
}

// Sink takes what a Feed reports. Its methods are called by one goroutine at
// a time and must not block.
type Sink interface {
	// Ended reports an ending, at least once, in no particular order.
	Ended(Ending)
	// CaughtUp reports that every ending acknowledged before asOf, an instant
	// of this instance's monotonic clock, has been reported.
	CaughtUp(asOf time.Time)
}

// Ending is one acting ending as the outbox tells it. With Cause app, User and
// ID are empty: every session of the app that began before At is over.
type Ending struct {
	Owner
	Trace
}

// CreateStep is what Create needs. Session gives ID, Type, Info and Claims.
type CreateStep struct {
	Owner
	Session Session
	Policy  Policy
	// Hash is User.Hash. Where it is set the user must still have it, and be
	// active: to check a password takes long enough for either to change.
	Hash string
}

// Created is a login's outcome.
type Created struct {
	Session    Session
	Evicted    []Trace
	Now        time.Time
	Durability Durability
}

// RefreshStep is what Refresh needs.
type RefreshStep struct {
	Owner
	ID   ID
	Type Type
	Presented
	Policy    Policy
	CheckUser bool
}

// Refreshed is a refresh's outcome. Code is OK, Retried or Healed. Session.Info
// is not read.
type Refreshed struct {
	Code       Code
	Session    Session
	Now        time.Time
	Durability Durability
}

// ListStep is what List needs.
type ListStep struct {
	Owner
	Caller    ID // the session whose access token asks; empty: not checked
	Types     []Type
	CheckUser bool
}

// Listed is a list's outcome.
type Listed struct {
	Sessions []Session
	Now      time.Time
}

// EndStep is what End needs.
type EndStep struct {
	Owner
	Caller    ID
	ID        ID
	Cause     Cause
	By        string
	CheckUser bool
}

// EndOthersStep is what EndOthers needs. An empty Keep keeps none.
type EndOthersStep struct {
	Owner
	Caller         ID
	Keep           ID
	KeepGeneration uint32
	KeepWindow     time.Duration // the retry window of Keep's type
	Types          []Type
	Cause          Cause
	By             string
	CheckUser      bool
}

// LogoutStep is what Logout needs.
type LogoutStep struct {
	Owner
	ID   ID
	Type Type
	Presented
	Policy Policy
	Cause  Cause // empty: CauseLogout
}

// Receipt says what an ending step ended.
type Receipt struct {
	Ended      []Trace
	Now        time.Time
	Durability Durability
}

// Durability says whether replicas have a step that changed something.
type Durability string

// Without the operator's wish for durability the zero value is all one gets.
const (
	NotAsked   Durability = ""
	Pending    Durability = "pending"    // done here; too few replicas answered in time
	Replicated Durability = "replicated" // survives the loss of the primary
)

// And is the durability of two steps together.
func (d Durability) And(other Durability) Durability {
	if d == Pending || other == NotAsked {
		return d
	}
	return other
}

// Kind is what a token is for.
type Kind string

// The two kinds; the values are the seed's "token_type" claim.
const (
	Access  Kind = "access"
	Refresh Kind = "refresh"
)

// Claims is what a token says. Times are whole seconds.
type Claims struct {
	Kind       Kind
	User       UserID
	Session    ID     // empty in an access token issued elsewhere
	Type       Type   // refresh tokens only
	Generation uint32 // refresh tokens only
	Issued     time.Time
	Expires    time.Time
	AuthTime   time.Time       // the login
	Extra      json.RawMessage // a JSON object merged into an access token; empty: none
}

// Signer signs and checks one app's tokens. It must be safe for concurrent use.
type Signer interface {
	// Sign gives the token for c. A refresh token is a function of c alone,
	// jti included, so a retry is given the same token; an access token gets a
	// jti of its own.
	Sign(c Claims) (string, error)

	// Verify checks signature, kind, times against now, audience and issuer.
	// Fails with TokenInvalid, TokenWrongKind, TokenNoExpiry, TokenNoID,
	// TokenNoKind, TokenNoUser; Unknown for a refresh token without a session
	// of ours; Expired for a refresh token that is good but for its time.
	Verify(token string, kind Kind, now time.Time) (Claims, error)

	// Headers gives what the app's own tokens may begin with: the encoded JOSE
	// header of every key in use, so that a token can be taken to its app.
	Headers() []string

	// Trusts tells whether a token that other signed, with a key in use or a
	// retired one, could be good here: then two apps can't be told apart.
	Trusts(other Signer) bool
}

// User is who a Checker found.
type User struct {
	ID     UserID
	Claims json.RawMessage // a JSON object for access tokens; empty: none
	Hash   string          // what the password matched, of a user in the store's Directory; else empty
}

// Checker checks passwords against one app's user source.
type Checker interface {
	// Check finds the active user with this name and password. Fails with
	// InvalidCredentials, the same and as slowly for an unknown user, a wrong
	// password and an inactive user; Busy; Unavailable.
	Check(ctx context.Context, username, password string) (User, error)

	// Recheck asks whether a user may still hold sessions. Fails with
	// UserUnknown, UserInactive or Unavailable, and that by the end of ctx; nil
	// where the source can't say.
	Recheck(ctx context.Context, id UserID) error
}

// Directory keeps the users of apps that have no user source of their own
// (USERS=redis:). CheckUser in a step asks it within that step.
type Directory interface {
	// Find gives a user by name; UserUnknown.
	Find(ctx context.Context, app, username string) (Account, error)
	// Account gives a user by ID; UserUnknown.
	Account(ctx context.Context, app string, id UserID) (Account, error)
	// Put writes a user, by ID, whole, in the place of was: the user with this
	// ID as he was read, or the zero Account where nobody may have the ID. Else
	// it fails as Account.Still does and writes nothing, so that no change
	// is undone by whoever had read before it. Fails with UserExists, too, when
	// another ID has the name, or is about to. A retry fails where the first try
	// was done.
	Put(ctx context.Context, app string, a, was Account) (Durability, error)
	// Accounts gives every user of an app, in order of name.
	Accounts(ctx context.Context, app string) ([]Account, error)
	// Remove removes a user by ID; UserUnknown.
	Remove(ctx context.Context, app string, id UserID) (Durability, error)
}

// Account is a user as a Directory keeps it.
type Account struct {
	ID       UserID          `json:"id"`
	Username string          `json:"username"`
	Password string          `json:"password"` // a hash; see package credential
	Active   bool            `json:"is_active"`
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// Still tells whether who is stored now, the zero Account for nobody, is
// still a. Fails with UserExists when nobody was to be there, else UserUnknown.
func (a Account) Still(now Account) error {
	switch {
	case a.ID == now.ID && a.Username == now.Username && a.Password == now.Password &&
		a.Active == now.Active && string(a.Claims) == string(now.Claims):
		return nil
	case a.ID.IsZero():
		return Fail(UserExists, nil)
	}
	return Fail(UserUnknown, nil)
}

// UserExists says that another user has the name, or the ID.
const UserExists Code = "user_exists"
