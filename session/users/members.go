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
	if !json.Valid(raw) {
		return nil, errors.New("not valid JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errNotObject
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errNotObject
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errNotObject
		}
		text, _ := name.(string)
		if !slices.Contains(names, text) {
			continue
		}
		if members[text] != nil {
			return nil, fmt.Errorf("%s is there twice: give it once", text)
		}
		members[text] = value
	}
	return members, nil
}
