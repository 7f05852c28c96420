package users

import (
	"encoding/json"

	"tokengate/session"
	"tokengate/session/password"
)

// validation collects the values of an account that are not accepted.
type validation struct{ invalid session.InvalidFields }

func (v *validation) add(field string, err error) {
	if err != nil {
		v.invalid = append(v.invalid, session.InvalidField{Name: field, Err: err})
	}
}

// err returns the InvalidFields, or nil if there are none.
func (v *validation) err() error {
	if len(v.invalid) == 0 {
		return nil
	}
	return v.invalid
}

// username returns name, which it validates.
func (v *validation) username(name string) string {
	v.add("username", ValidateUsername(name))
	return name
}

// claims returns claims in the form in which a directory keeps them.
func (v *validation) claims(raw json.RawMessage) json.RawMessage {
	compact, err := CompactClaims(raw)
	v.add("claims", err)
	return compact
}

func (v *validation) password(text string, min int) { v.add("password", password.Validate(text, min)) }
