package users

import (
	"cmp"

	"tokengate/session"
)

// unusableHash marks a password that can't be used to log in, as in Django.
const unusableHash = "!"

// fingerprints computes the fingerprints of one app's users from their hashes. The zero
// value returns zero fingerprints, by which no change is noticed.
type fingerprints struct {
	app     string
	enabled bool
}

func (o Options) fingerprints() fingerprints { return fingerprints{o.App, o.EndOnChange} }

// of returns the fingerprint of a user's stored hash. An unusable password has one too,
// since a password that becomes unusable changes. No hash is an unusable password.
func (f fingerprints) of(id session.UserID, hash string) session.Fingerprint {
	if !f.enabled {
		return session.Fingerprint{}
	}
	return session.NewFingerprint(session.Owner{App: f.app, User: id.String()}, cmp.Or(hash, unusableHash))
}
