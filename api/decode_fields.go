package api

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// field is one field of an endpoint's body.
type field struct {
	name     string
	optional bool
	verbatim bool // not trimmed, because a password is compared as sent
	max      int  // in bytes; 0 means that only maxBody limits it
}

// defaultUsernameField is the name of a login's first field, unless the app has another.
const defaultUsernameField = "username"

// The fields of each endpoint, in the order in which errors list them.
var (
	loginFields   = []field{{name: defaultUsernameField}, {name: "password", verbatim: true}, {name: "secret_key"}, {name: "session"}, {name: "info", max: session.MaxInfo}}
	refreshFields = []field{{name: "secret_key"}, {name: "session"}, {name: "refresh"}}
	listFields    = []field{{name: "session"}}
	destroyFields = []field{{name: "session_id"}}
	othersFields  = []field{{name: "refresh"}, {name: "session"}}
	logoutFields  = []field{{name: "secret_key"}, {name: "refresh"}}
	verifyFields  = []field{{name: "token"}, {name: "secret_key", optional: true}, {name: "token_type", optional: true}}
)

// kind is the kind of a field's value, as far as validation distinguishes it.
type kind uint8

const (
	absent kind = iota
	null
	text    // a string, or a number converted to a string as in the Django app
	notText // true, false, a list, an object or an uploaded file
)

// value is one field's value. A JSON string may contain a lone surrogate, which
// valid UTF-8 cannot encode. In text it has the three bytes of appendRune.
type value struct {
	kind kind
	text string
}

// form collects the values of an endpoint's fields. Other fields are dropped, and
// the last value of a repeated field counts.
type form struct {
	fields   []field
	received []value // of the field with the same index
}

// newForm returns a form in which every field is absent.
func newForm(fields []field) *form { return &form{fields, make([]value, len(fields))} }

// slot returns where to store the value of a field, or nil if the endpoint has no
// such field.
func (f *form) slot(name string) *value {
	for i := range f.fields {
		if f.fields[i].name == name {
			return &f.received[i]
		}
	}
	return nil
}

func (f *form) set(name string, v value) {
	if slot := f.slot(name); slot != nil {
		*slot = v
	}
}

// values checks every field and returns their texts in the order of the fields,
// or a *wireError that lists the errors of all of them.
func (f *form) values() ([]string, error) {
	texts := make([]string, len(f.fields))
	var errs []fieldError
	for i, field := range f.fields {
		var messages []string
		if texts[i], messages = field.check(f.received[i]); messages != nil {
			errs = append(errs, fieldError{field.name, messages})
		}
	}
	if errs != nil {
		return nil, invalidFields(errs)
	}
	return texts, nil
}

// check returns the field's text, or the Django app's messages about what is wrong
// with its value.
func (a field) check(v value) (string, []string) {
	trimmed := session.TrimSpace(v.text)
	switch {
	case v.kind == absent && a.optional:
		return "", nil
	case v.kind == absent:
		return "", []string{"This field is required."}
	case v.kind == null:
		return "", []string{"This field may not be null."}
	case v.kind == notText:
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

// checkText returns a message for everything that is wrong with a text, as the
// Django app's validators do. The message about the length, which the Django app
// does not limit, comes last.
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
