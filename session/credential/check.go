package credential

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode"

	"tokengate/session"
)

// accounts is a source that holds the hashes itself.
type accounts interface {
	// find gives a user by name; UserUnknown, Unavailable.
	find(ctx context.Context, username string) (session.Account, error)
	// recheck is session.Checker's Recheck.
	recheck(ctx context.Context, id session.UserID) error
}

// passwords is the Checker of every source that holds hashes.
type passwords struct {
	accounts accounts
	lane     *Lane
	decoys   *decoys
	log      *slog.Logger
	inStore  bool // the accounts are in the store's Directory
}

// errRefused is the one reason for every refusal: the log shall not tell more
// than the answer to whoever can read it.
var errRefused = session.Fail(session.InvalidCredentials, errors.New("no active user with this name and password"))

// Check is session.Checker's.
func (p *passwords) Check(ctx context.Context, username, password string) (session.User, error) {
	account, err := p.accounts.find(ctx, username)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return session.User{}, err
	}
	h, usable := p.hash(username, account, err == nil)
	matched, err := p.lane.match(ctx, h, password, usable && account.Active)
	if err != nil {
		return session.User{}, err
	}
	if !matched {
		return session.User{}, errRefused
	}
	user := session.User{ID: account.ID, Claims: account.Claims}
	if p.inStore {
		user.Hash = account.Password
	}
	return user, nil
}

// Recheck is session.Checker's.
func (p *passwords) Recheck(ctx context.Context, id session.UserID) error {
	return p.accounts.recheck(ctx, id)
}

// hash is the account's, or a decoy where it has none that could match. The
// decoy is picked for everyone, so that picking takes nobody longer.
func (p *passwords) hash(username string, account session.Account, found bool) (h stored, usable bool) {
	decoy := p.decoys.pick(username)
	if !found {
		return decoy, false
	}
	h, err := readHash(account.Password)
	if err == nil {
		p.decoys.learn(h)
		return h, true
	}
	if !errors.Is(err, errUnusable) {
		p.log.Warn("a user cannot log in", "user", account.ID.String(), "error", err)
	}
	return decoy, false
}

// matches tries each form of password. Where the outcome can only be a refusal
// it tries them all, whichever of them fits: else the time of a refusal would
// tell an inactive user's password from a wrong one.
func matches(h hash, password string, allowed bool) bool {
	for _, form := range forms(password) {
		if h.match(form) && allowed {
			return true
		}
	}
	return false
}

// forms are the texts that password may stand for: itself, then what the seed
// would have made of it.
func forms(password string) []string {
	trimmed := strings.TrimFunc(password, space)
	if trimmed == password || trimmed == "" {
		return []string{password}
	}
	return []string{password, trimmed}
}

// space is Python's str.isspace: Unicode's white space and the four separators
// of ASCII.
func space(r rune) bool { return unicode.IsSpace(r) || (0x1c <= r && r <= 0x1f) }
