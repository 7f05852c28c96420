package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tokengate/session"
)

// managed returns the manager of the users of the app that the path names. It fails with
// AppUnknown or UsersElsewhere.
func (s *Server) managed(x *exchange) (m session.AccountManager, app string, err error) {
	app = x.param("app")
	switch {
	case s.engine.App(app) == nil:
		return nil, "", session.Fail(session.AppUnknown, nil)
	case s.accounts == nil:
		return nil, "", session.Fail(session.UsersElsewhere, nil)
	}
	x.app = app
	return s.accounts, app, nil
}

// userID returns the user's ID in the path, for the log too. An ID that is a number is the
// same as its text.
func (x *exchange) userID() session.UserID {
	x.user = x.param("user")
	return session.TextID(x.user)
}

// listUsers handles GET /admin/apps/{app}/users, which returns all users, or with the query
// parameter "name" the one with that name, if any.
func (s *Server) listUsers(x *exchange) error {
	accounts, app, err := s.managed(x)
	if err != nil {
		return err
	}
	var found []session.Account
	if query := x.Request.URL.Query(); query.Has("name") {
		a, err := accounts.FindAccount(x.ctx(), app, query.Get("name"))
		switch session.CodeOf(err) {
		case session.OK:
			found = append(found, a)
		case session.UserUnknown:
		default:
			return err
		}
	} else if found, err = accounts.Accounts(x.ctx(), app); err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "users"), '[')
	for i := range found {
		b = appendAccount(appendItem(b), &found[i])
	}
	x.write(http.StatusOK, append(b, ']', '}'))
	return nil
}

// appendAccount appends the rest of an object that describes an account. The hash of the
// password is not part of it.
func appendAccount(b []byte, a *session.Account) []byte {
	b = a.ID.AppendJSON(appendKey(b, "user_id"))
	b = appendMember(b, "username", a.Username)
	b = appendBool(appendKey(b, "is_active"), a.Active)
	b = appendKey(b, "claims")
	if len(a.Claims) == 0 {
		return append(b, "{}}"...)
	}
	return append(append(b, a.Claims...), '}')
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

// writeAccount answers with one account.
func (x *exchange) writeAccount(status int, a session.Account, done session.Durability) {
	x.setDurability(done)
	x.write(status, appendAccount(append(x.buffer(), '{'), &a))
}

// showUser handles GET /admin/apps/{app}/users/{user}.
func (s *Server) showUser(x *exchange) error {
	accounts, app, err := s.managed(x)
	if err != nil {
		return err
	}
	a, err := accounts.Account(x.ctx(), app, x.userID())
	if err != nil {
		return err
	}
	x.writeAccount(http.StatusOK, a, "")
	return nil
}

// addUser handles POST /admin/apps/{app}/users, which adds a user.
func (s *Server) addUser(x *exchange) error {
	accounts, app, err := s.managed(x)
	if err != nil {
		return err
	}
	body, err := x.readAccountBody("username", "password", "id", "integer_id", "claims", "is_active")
	if err != nil {
		return err
	}
	n := session.NewAccount{
		Username: valueOf(body.text("username", true)), Password: valueOf(body.text("password", true)), ID: body.id("id"),
		IntegerID: valueOf(body.bool("integer_id")), Claims: valueOf(body.object("claims")),
	}
	if active := body.bool("is_active"); active != nil {
		n.Inactive = !*active
	}
	if err := body.err(); err != nil {
		return err
	}
	a, done, err := accounts.AddAccount(x.ctx(), app, n)
	if err != nil {
		return accountError(err)
	}
	x.user = a.ID.String()
	x.writeAccount(http.StatusCreated, a, done)
	return nil
}

// changeUser handles PATCH /admin/apps/{app}/users/{user}, which changes the fields that the
// body has. A new password, and "is_active": false, revoke the user's sessions.
func (s *Server) changeUser(x *exchange) error {
	accounts, app, err := s.managed(x)
	if err != nil {
		return err
	}
	body, err := x.readAccountBody("username", "password", "is_active", "claims")
	if err != nil {
		return err
	}
	change := session.AccountChange{
		Username: body.text("username", false), Password: body.text("password", false),
		Active: body.bool("is_active"), Claims: body.object("claims"),
	}
	if err := body.err(); err != nil {
		return err
	}
	a, done, err := accounts.ChangeAccount(x.ctx(), app, x.userID(), change, x.operator())
	if err != nil {
		return accountError(err)
	}
	x.writeAccount(http.StatusOK, a, done)
	return nil
}

// removeUser handles DELETE /admin/apps/{app}/users/{user}, which removes a user and revokes
// their sessions.
func (s *Server) removeUser(x *exchange) error {
	accounts, app, err := s.managed(x)
	if err != nil {
		return err
	}
	result, err := accounts.RemoveAccount(x.ctx(), app, x.userID(), x.operator())
	return x.writeRevoked(result, err)
}

// accountError returns the error for a client whose values were not accepted, and every
// other error as it is.
func accountError(err error) error {
	invalid, ok := errors.AsType[session.InvalidFields](err)
	if !ok {
		return err
	}
	var fields []fieldError
	for _, f := range invalid {
		fields = append(fields, fieldError{f.Name, []string{sentence(f.Err.Error())}})
	}
	return invalidFields(fields)
}

// sentence returns a text with a capital letter and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

// accountBody is the JSON body of a request about an account. Its methods return the values
// of members and collect what is wrong with them.
type accountBody struct {
	members map[string]json.RawMessage
	invalid []fieldError
}

// readAccountBody reads a body that may have the given members. Others are errors: a member
// that is misspelt must not seem to have been changed.
func (x *exchange) readAccountBody(known ...string) (*accountBody, error) {
	defer x.endBody()
	raw, err := x.readBody()
	if err != nil {
		return nil, err
	}
	body := &accountBody{members: map[string]json.RawMessage{}}
	if len(raw) == 0 {
		return body, nil
	}
	essence, _, _ := strings.Cut(x.Request.Header.Get("Content-Type"), ";")
	if strings.ToLower(strings.TrimSpace(essence)) != mediaJSON {
		return nil, unsupportedMediaType(x.Request.Header.Get("Content-Type"))
	}
	err = eachJSONMember(raw, func(key, value []byte) {
		name := unquote(key)
		switch _, twice := body.members[name]; {
		case !slices.Contains(known, name):
			body.add(name, "Unknown field. Known fields: "+strings.Join(known, ", ")+".")
		case twice:
			body.add(name, "This field is given twice.")
		}
		body.members[name] = slices.Clone(value) // the buffer is used again for the answer
	})
	return body, err
}

func (b *accountBody) add(field, message string) {
	if !slices.ContainsFunc(b.invalid, func(f fieldError) bool { return f.field == field }) {
		b.invalid = append(b.invalid, fieldError{field, []string{message}})
	}
}

// err returns the error for the values that are not of the right type, or nil.
func (b *accountBody) err() error {
	if b.invalid == nil {
		return nil
	}
	return invalidFields(b.invalid)
}

// text returns a string, or nil if the member is missing and not required. The string may
// hold lone surrogates, which are not valid UTF-8; see unquote.
func (b *accountBody) text(name string, required bool) *string {
	raw, ok := b.members[name]
	switch {
	case !ok && required:
		b.add(name, "This field is required.")
	case !ok:
	case raw[0] != '"':
		b.add(name, "Not a valid string.")
	default:
		s := unquote(raw)
		return &s
	}
	return nil
}

// bool returns true or false, or nil if the member is missing.
func (b *accountBody) bool(name string) *bool {
	raw, ok := b.members[name]
	if ok && raw[0] != 't' && raw[0] != 'f' {
		b.add(name, "Must be a valid boolean.")
	}
	if !ok {
		return nil
	}
	v := raw[0] == 't'
	return &v
}

// object returns a member whose value package users validates, or nil if it is missing.
func (b *accountBody) object(name string) *json.RawMessage {
	raw, ok := b.members[name]
	if !ok {
		return nil
	}
	return &raw
}

// id returns a user ID, or the zero value if the member is missing.
func (b *accountBody) id(name string) session.UserID {
	raw, ok := b.members[name]
	if !ok {
		return session.UserID{}
	}
	id, err := session.ParseUserID(raw)
	if err != nil {
		b.add(name, sentence(err.Error()))
	}
	return id
}

// valueOf returns *p, or the zero value if p is nil.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
