package api

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"tokengate/session"
)

// field is one field that an endpoint asks for. All are required.
type field struct {
	name     string
	verbatim bool // not trimmed: a password is compared as it was sent
	max      int  // bytes; 0: bounded by the body alone
}

// The fields of each endpoint, in the order in which faults are told.
var (
	loginFields   = []field{{name: "username"}, {name: "password", verbatim: true}, {name: "secret_key"}, {name: "session"}, {name: "info", max: session.MaxInfo}}
	refreshFields = []field{{name: "secret_key"}, {name: "session"}, {name: "refresh"}}
	listFields    = []field{{name: "session"}}
	destroyFields = []field{{name: "session_id"}}
	othersFields  = []field{{name: "refresh"}, {name: "session"}}
	logoutFields  = []field{{name: "secret_key"}, {name: "refresh"}}
	verifyFields  = []field{{name: "token"}}
)

// form is what came for the fields that were asked for. What nobody asked for
// is not kept, and of a repeated field the last stands.
type form struct {
	asked []field
	got   []value
}

// newForm begins with every field absent.
func newForm(asked []field) *form { return &form{asked, make([]value, len(asked))} }

// slot is where the value of a field goes, nil for one that nobody asked for.
func (f *form) slot(name string) *value {
	for i := range f.asked {
		if f.asked[i].name == name {
			return &f.got[i]
		}
	}
	return nil
}

func (f *form) set(name string, v value) {
	if slot := f.slot(name); slot != nil {
		*slot = v
	}
}

// values checks every field and gives their texts in the order asked for, or
// a *problem that tells the faults of all of them.
func (f *form) values() ([]string, error) {
	texts := make([]string, len(f.asked))
	var faults []fault
	for i, asked := range f.asked {
		var messages []string
		if texts[i], messages = asked.check(f.got[i]); messages != nil {
			faults = append(faults, fault{asked.name, messages})
		}
	}
	if faults != nil {
		return nil, invalidFields(faults)
	}
	return texts, nil
}

// check gives the field's text, or what is wrong with its value in the words
// of the seed.
func (a field) check(v value) (string, []string) {
	trimmed := trim(v.text)
	switch {
	case v.kind == absent:
		return "", []string{"This field is required."}
	case v.kind == null:
		return "", []string{"This field may not be null."}
	case v.kind == noText:
		return "", []string{"Not a valid string."}
	case trimmed == "":
		return "", []string{"This field may not be blank."}
	}
	if messages := a.checkText(trimmed); messages != nil {
		return "", messages
	}
	if a.verbatim {
		return v.text, nil
	}
	return trimmed, nil
}

// checkText tells all faults of a text at once, as the seed's validators do,
// and the length after them, which the seed does not bound.
func (a field) checkText(s string) (messages []string) {
	if strings.IndexByte(s, 0) >= 0 {
		messages = append(messages, "Null characters are not allowed.")
	}
	if !utf8.ValidString(s) {
		r, _ := firstSurrogate(s)
		messages = append(messages, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", r))
	}
	if a.max > 0 && len(s) > a.max {
		messages = append(messages, fmt.Sprintf("Ensure this field has no more than %d bytes.", a.max))
	}
	return messages
}

// trim is Python's str.strip: Unicode white space and U+001C to U+001F.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || (r >= 0x1C && r <= 0x1F)
	})
}
