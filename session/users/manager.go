package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"tokengate/session"
	"tokengate/session/password"
)

// ManagerOptions configures a [Manager]. All fields are required.
type ManagerOptions struct {
	Directory session.Directory
	Queue     *password.Queue // new passwords are hashed in it

	// MinPassword has an entry for each app whose users are in Directory: the minimum
	// length of a new password in characters (PASSWORD_MIN_LENGTH).
	MinPassword map[string]int

	// Revoke revokes all sessions of a user with session.CauseAccount; by is the
	// operator's name.
	Revoke func(ctx context.Context, owner session.Owner, by string) (session.RevokeResult, error)
}

// Manager implements [session.AccountManager] over a Directory. It has the rules that the
// commands and the admin API share. It is safe for concurrent use.
type Manager struct{ o ManagerOptions }

var _ session.AccountManager = (*Manager)(nil)

// NewManager returns a Manager with the given options.
func NewManager(o ManagerOptions) (*Manager, error) {
	if o.Directory == nil || o.Queue == nil || o.Revoke == nil {
		return nil, errors.New("users: a Manager requires Directory, Queue and Revoke")
	}
	return &Manager{o}, nil
}

// check fails with UsersElsewhere unless the users of the app are in the directory.
func (m *Manager) check(app string) error {
	if _, ok := m.o.MinPassword[app]; !ok {
		return session.Fail(session.UsersElsewhere, nil)
	}
	return nil
}

// Accounts implements [session.AccountManager].
func (m *Manager) Accounts(ctx context.Context, app string) ([]session.Account, error) {
	if err := m.check(app); err != nil {
		return nil, err
	}
	return m.o.Directory.Accounts(ctx, app)
}

// FindAccount implements [session.AccountManager].
func (m *Manager) FindAccount(ctx context.Context, app, username string) (session.Account, error) {
	if err := m.check(app); err != nil {
		return session.Account{}, err
	}
	return m.o.Directory.FindAccount(ctx, app, username)
}

// Account implements [session.AccountManager].
func (m *Manager) Account(ctx context.Context, app string, id session.UserID) (session.Account, error) {
	if err := m.check(app); err != nil {
		return session.Account{}, err
	}
	return m.o.Directory.Account(ctx, app, id)
}

// AddAccount implements [session.AccountManager].
func (m *Manager) AddAccount(ctx context.Context, app string, n session.NewAccount) (a session.Account, done session.Durability, err error) {
	if err := m.check(app); err != nil {
		return a, "", err
	}
	var v validation
	a = session.Account{ID: n.ID, Username: v.username(n.Username), Claims: v.claims(n.Claims), Active: !n.Inactive}
	v.password(n.Password, m.o.MinPassword[app])
	if n.IntegerID && !n.ID.IsZero() {
		v.add("integer_id", errors.New("integer_id is set although there is an id: leave one of them out"))
	}
	if err := v.err(); err != nil {
		return a, "", err
	}
	if a.ID, err = m.newID(ctx, app, n); err != nil {
		return a, "", err
	}
	was, err := m.formerAccount(ctx, app, a)
	if err == nil {
		err = m.passNumber(ctx, app, numberOf(n.ID))
	}
	if err != nil {
		return a, "", err
	}
	if a.Password, err = m.hash(ctx, n.Password); err != nil {
		return a, "", err
	}
	a.Credential = session.RandomFingerprint()
	done, err = m.o.Directory.PutAccount(ctx, app, a, was)
	if code := session.CodeOf(err); code == session.UserExists || code == session.UserUnknown {
		err = session.Fail(session.UserExists, errors.New("another user was given this name or id in the meantime"))
	}
	return a, done, err
}

// newID returns the ID of a new user.
func (m *Manager) newID(ctx context.Context, app string, n session.NewAccount) (session.UserID, error) {
	switch {
	case !n.ID.IsZero():
		return n.ID, nil
	case !n.IntegerID:
		return session.TextID(string(session.NewID())), nil
	}
	id, err := m.o.Directory.NextID(ctx, app, 0)
	if err != nil {
		return session.UserID{}, err
	}
	_, err = m.o.Directory.Account(ctx, app, session.NumberID(id))
	if taken := err == nil; taken || id == 1 { // the users may be older than the counter
		all, err := m.o.Directory.Accounts(ctx, app)
		if err != nil {
			return session.UserID{}, err
		}
		if above := highestNumber(all); above >= id {
			id, err = m.o.Directory.NextID(ctx, app, above)
		}
		return session.NumberID(id), err
	}
	if session.CodeOf(err) != session.UserUnknown {
		return session.UserID{}, err
	}
	return session.NumberID(id), nil
}

// passNumber keeps a number from being given to a new user, also after its user
// was removed. It does nothing for the number 0.
func (m *Manager) passNumber(ctx context.Context, app string, number int64) error {
	if number == 0 {
		return nil
	}
	_, err := m.o.Directory.NextID(ctx, app, number-1)
	return err
}

// passOlder calls passNumber for an account that may be older than the numbers which NextID
// returns. Such an account has no Credential; the number of every other one was passed over
// when it was added. It is called before the account is removed or gets a Credential.
func (m *Manager) passOlder(ctx context.Context, app string, a session.Account) error {
	if !a.Credential.IsZero() {
		return nil
	}
	return m.passNumber(ctx, app, numberOf(a.ID))
}

// numberLimit is above every number that a new user gets. Higher IDs of users who were
// added with an ID are left alone: otherwise one of them could use up all numbers.
const numberLimit = 1 << 40

// numberOf returns the number that an ID is, or 0 if no new user gets it. The IDs 7 and "7"
// are the same.
func numberOf(id session.UserID) int64 {
	n, err := strconv.ParseInt(id.String(), 10, 64)
	if err != nil || n < 1 || n >= numberLimit || strconv.FormatInt(n, 10) != id.String() {
		return 0
	}
	return n
}

func highestNumber(accounts []session.Account) (highest int64) {
	for _, a := range accounts {
		highest = max(highest, numberOf(a.ID))
	}
	return highest
}

// formerAccount returns the account that a new user replaces. That is the zero Account,
// or the user's own account if it can't be found by its username: an earlier attempt that
// failed may have left it so. The username is looked up last, so that a user added in
// between is not taken for such an account.
func (m *Manager) formerAccount(ctx context.Context, app string, a session.Account) (was session.Account, err error) {
	was, err = m.o.Directory.Account(ctx, app, a.ID)
	switch {
	case err != nil && session.CodeOf(err) != session.UserUnknown:
		return was, err
	case err == nil && was.Username != a.Username:
		return was, session.Fail(session.UserExists, fmt.Errorf("there is already a user with the id %s: %q", a.ID, was.Username))
	}
	_, err = m.o.Directory.FindAccount(ctx, app, a.Username)
	switch session.CodeOf(err) {
	case session.OK:
		return was, session.Fail(session.UserExists, fmt.Errorf("user %q exists already", a.Username))
	case session.UserUnknown:
		return was, nil
	}
	return was, err
}

// hash returns the hash of a new password.
func (m *Manager) hash(ctx context.Context, text string) (hash string, err error) {
	err = m.o.Queue.Do(ctx, 1, func() { hash = password.NewHash(text) })
	return hash, err
}

// ChangeAccount implements [session.AccountManager]. It hashes the new password before the
// account is changed, and revokes the sessions afterwards, so that sessions created in
// between are revoked too.
func (m *Manager) ChangeAccount(ctx context.Context, app string, id session.UserID, c session.AccountChange, by string) (a session.Account, done session.Durability, err error) {
	if a, err = m.Account(ctx, app, id); err != nil || c == (session.AccountChange{}) {
		return a, "", err
	}
	edit, err := m.edit(ctx, app, c)
	if err != nil {
		return a, "", err
	}
	a, done, err = m.update(ctx, app, id, edit)
	if err != nil || !c.RevokesSessions() {
		return a, done, err
	}
	revoked, err := m.o.Revoke(session.AnyTime(ctx), session.Owner{App: app, User: id.String()}, by)
	if err != nil {
		err = fmt.Errorf("the user was changed, but their sessions were not revoked; make the change again: %w", err)
	}
	return a, done.And(revoked.Durability), err
}

// edit returns a function that applies a change to an account. It fails with InvalidFields,
// and as [password.Queue.Do] does.
func (m *Manager) edit(ctx context.Context, app string, c session.AccountChange) (func(*session.Account), error) {
	var v validation
	var claims json.RawMessage
	if c.Username != nil {
		v.username(*c.Username)
	}
	if c.Claims != nil {
		claims = v.claims(*c.Claims)
	}
	if c.Password != nil {
		v.password(*c.Password, m.o.MinPassword[app])
	}
	err := v.err()
	if err != nil {
		return nil, err
	}
	var hash string
	credential := session.RandomFingerprint()
	if c.Password != nil {
		if hash, err = m.hash(ctx, *c.Password); err != nil {
			return nil, err
		}
	}
	return func(a *session.Account) {
		if c.Username != nil {
			a.Username = *c.Username
		}
		if c.Claims != nil {
			a.Claims = claims
		}
		if c.Password != nil {
			a.Password, a.Credential = hash, credential
		}
		if c.Active != nil {
			a.Active = *c.Active
		}
	}, nil
}

// update edits an account, also while others change it. It returns the new account.
func (m *Manager) update(ctx context.Context, app string, id session.UserID, edit func(*session.Account)) (_ session.Account, done session.Durability, err error) {
	for range maxAttempts {
		was, err := m.o.Directory.Account(ctx, app, id)
		if err != nil {
			return was, done, err
		}
		a := was
		edit(&a)
		if !a.Credential.IsZero() {
			err = m.passOlder(ctx, app, was)
		}
		if err != nil {
			return was, done, err
		}
		put, err := m.o.Directory.PutAccount(ctx, app, a, was)
		done = done.And(put)
		switch session.CodeOf(err) {
		case session.UserUnknown:
			continue // another change came in between
		case session.UserExists:
			err = session.Fail(session.UserExists, errors.New("another user has this name"))
		}
		return a, done, err
	}
	return session.Account{}, done, session.Fail(session.UserChanged, nil)
}

// maxAttempts bounds how often a change is repeated because another one came in between.
// Operators who work at the same time cause fewer.
const maxAttempts = 10

// RemoveAccount implements [session.AccountManager]. It disables the user first, so that no
// session is created after the revocation, and so that a failed removal can be repeated.
func (m *Manager) RemoveAccount(ctx context.Context, app string, id session.UserID, by string) (session.RevokeResult, error) {
	if err := m.check(app); err != nil {
		return session.RevokeResult{}, err
	}
	a, done, err := m.update(ctx, app, id, func(a *session.Account) { a.Active = false })
	if err != nil {
		return session.RevokeResult{}, err
	}
	result, err := m.o.Revoke(session.AnyTime(ctx), session.Owner{App: app, User: id.String()}, by)
	if err == nil {
		err = m.passOlder(ctx, app, a)
	}
	if err == nil {
		var removed session.Durability
		removed, err = m.o.Directory.RemoveAccount(ctx, app, id)
		done = done.And(removed)
	}
	result.Durability = result.Durability.And(done)
	if err != nil && session.CodeOf(err) != session.UserUnknown { // unknown: another operator has removed them meanwhile
		return result, fmt.Errorf("the user was disabled, but not removed; remove them again: %w", err)
	}
	return result, nil
}
