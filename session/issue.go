package session

import "time"

// Tokens is the result of a login or a refresh for the client.
type Tokens struct {
	Session    ID
	Access     string
	Refresh    string // empty if the refresh token that was presented stays current
	Device     string // of a login: the token of the device
	Durability Durability
}

// issue signs the tokens of a login or a refresh; now is the store's time of the
// step. The refresh token is left out unless refresh is set.
//
// The access token is valid by the store's clock and by this instance's: it is issued
// at the earlier of the two times, so that no verifier finds it to be of the future,
// and expires by the later one.
func (a *App) issue(user UserID, s Session, now time.Time, refresh bool) (Tokens, error) {
	out, own := Tokens{Session: s.ID}, a.clock.Now()
	c := Claims{
		Kind: KindAccess, User: user, Session: s.ID, AuthTime: s.Created, Extra: s.Claims,
		Issued: earlier(now, own), Expires: later(now, own).Add(a.AccessLifetime),
	}
	var err error
	if out.Access, err = a.Signer.Sign(c); err != nil || !refresh {
		return out, internal(err)
	}
	c = Claims{
		Kind: KindRefresh, User: user, Session: s.ID, AuthTime: s.Created, Type: s.Type,
		Generation: s.Generation, Secret: s.Secret, Issued: s.Rotated, Expires: s.Expires,
	}
	out.Refresh, err = a.Signer.Sign(c)
	return out, internal(err)
}

// internal returns err with the code Internal, or nil for nil.
func internal(err error) error {
	if err == nil {
		return nil
	}
	return Fail(Internal, err)
}
