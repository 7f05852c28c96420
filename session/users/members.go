package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// errNotObject is the error of objectMembers for JSON of another kind.
var errNotObject = errors.New("not a JSON object")

// objectMembers returns the members of a JSON object with these names. Names are compared
// exactly, so that USER_ID is not user_id, and a name may occur once only: other programs
// could take another one of two members. A struct of encoding/json would accept both. All
// other members are ignored. Errors repeat nothing of raw.
func objectMembers(raw []byte, names ...string) (map[string]json.RawMessage, error) {
	members, _, err := splitMembers(raw, names...)
	return members, err
}

// splitMembers is objectMembers that also returns the names of the other members.
func splitMembers(raw []byte, names ...string) (members map[string]json.RawMessage, others []string, err error) {
	if !json.Valid(raw) {
		return nil, nil, errors.New("not valid JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, errNotObject
	}
	members = map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, nil, errNotObject
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, nil, errNotObject
		}
		text, _ := name.(string)
		if !slices.Contains(names, text) {
			others = append(others, text)
			continue
		}
		if members[text] != nil {
			return nil, nil, fmt.Errorf("%s is there twice: give it once", text)
		}
		members[text] = value
	}
	return members, others, nil
}

// userMembers lists the members of a user in a user file.
var userMembers = []string{"id", "username", "password", "is_active", "claims"}

// Limits of what is reported about other members: a file may have any number of them.
const (
	maxUnknown     = 10 // different names
	maxUnknownName = 64 // bytes of a name
)

// unknownMember is a member of users that has no meaning, such as a misspelt one.
type unknownMember struct {
	name  string
	users int // that have it
}

// unknownMembers lists the first of these members in a file.
type unknownMembers []unknownMember

// add counts the members of one user.
func (u *unknownMembers) add(names []string) {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		name = name[:min(len(name), maxUnknownName)]
		i := slices.IndexFunc(*u, func(m unknownMember) bool { return m.name == name })
		switch {
		case i >= 0:
			(*u)[i].users++
		case len(*u) < maxUnknown:
			*u = append(*u, unknownMember{name, 1})
		}
	}
}
