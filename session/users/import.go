package users

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"tokengate/session"
	"tokengate/session/password"
)

// maxFileSize is the maximum size of a user file in bytes: about 200,000 users.
const maxFileSize = 64 << 20

// ImportOptions configures [Import]. The zero value reads users of Django's own model.
type ImportOptions struct {
	// UsernameField (USERNAME_FIELD) is the field of a dump that holds the username. A
	// user file always has it in the member username. Empty means username.
	UsernameField string

	// Nearest returns the most similar of the known names to name. A warning about a member
	// without a meaning then names it. It may be nil.
	Nearest func(name string, known []string) string
}

// Import reads users for a [session.Directory] from a user file or from the output of
// Django's "manage.py dumpdata auth.user". In a dump, entries of other models are
// skipped; a custom user model is read if it has a username field and a password.
//
// A user whose hash [password.ValidateHash] rejects gets the unusable password "!", and
// can't log in until a new password is set; a warning says which user and why. Another
// warning names a member of a user file that has no meaning, since it may be misspelt. Any
// other fault is an error, and then Import returns no users. Errors and warnings give the
// line and the entry, and repeat nothing of its content except the id and such a name.
func Import(r io.Reader, o ImportOptions) (list []session.Account, warnings []string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, nil, err
	}
	p := newUserParser(data)
	p.usernameField, p.replaceHashes = cmp.Or(o.UsernameField, defaultUsernameField), true
	if list, err = p.parse(); err == nil && len(list) == 0 {
		err = errors.New("there are no users in the input")
	}
	if err != nil {
		return nil, nil, err
	}
	for _, m := range p.unknown {
		advice := ""
		if o.Nearest != nil {
			advice = "; did you mean " + o.Nearest(m.name, userMembers) + "?"
		}
		p.warnings = append(p.warnings, fmt.Sprintf("member %q has no meaning and is ignored (users with it: %d)%s", m.name, m.users, advice))
	}
	return list, p.warnings, nil
}

func newUserParser(data []byte) *userParser {
	return &userParser{data: data, usernameField: defaultUsernameField, names: map[string]position{}, ids: map[string]position{}}
}

// parse parses the whole input. If any entry is invalid, it returns no users.
func (p *userParser) parse() ([]session.Account, error) {
	if len(p.data) > maxFileSize {
		return nil, fmt.Errorf("longer than %d bytes", maxFileSize)
	}
	p.data = bytes.TrimPrefix(p.data, []byte("\ufeff"))
	p.dec = json.NewDecoder(bytes.NewReader(p.data))
	if token, err := p.dec.Token(); err != nil || token != json.Delim('[') {
		return nil, errors.New("not a JSON array of users")
	}
	for p.dec.More() && p.next(space) < len(p.data) { // with Go 1.27, More is true at the end
		p.startEntry()
		if err := p.entry(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.describe(p.current), err)
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, fmt.Errorf("line %d: the array is not closed", p.line(len(p.data)))
	}
	if end := p.next(space); end < len(p.data) {
		return nil, fmt.Errorf("line %d: there is more text after the array", p.line(end))
	}
	return p.list, nil
}

// userParser parses a list of users. It reads entry by entry, since encoding/json reports
// neither the position of an entry nor that two entries are the same.
type userParser struct {
	data          []byte
	usernameField string // of a dump
	replaceHashes bool   // replace invalid hashes by "!" and warn; otherwise they are errors

	dec      *json.Decoder
	current  position // of the entry being read
	list     []session.Account
	names    map[string]position
	ids      map[string]position
	warnings []string
	unknown  unknownMembers // of entries of a user file
}

// position is the position of an entry: its number, from 1, and the offset of its first
// byte.
type position struct{ entry, offset int }

func (p *userParser) line(offset int) int { return 1 + bytes.Count(p.data[:offset], []byte("\n")) }

// space holds the white space of JSON.
const space = " \t\r\n"

// next returns the offset of the next byte that is not in cutset.
func (p *userParser) next(cutset string) int {
	return len(p.data) - len(bytes.TrimLeft(p.data[p.dec.InputOffset():], cutset))
}

func (p *userParser) describe(at position) string {
	return fmt.Sprintf("line %d, entry %d", p.line(at.offset), at.entry)
}

// startEntry sets current to the position of the next entry, which follows white space and
// a comma.
func (p *userParser) startEntry() {
	p.current = position{p.current.entry + 1, p.next("," + space)}
}

func (p *userParser) entry() error {
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return errors.New("not valid JSON") // its own text repeats the input
	}
	a, err := p.readAccount(raw)
	if errors.Is(err, errOtherModel) {
		return nil
	}
	if err != nil {
		return err
	}
	if other, taken := p.names[a.Username]; taken {
		return fmt.Errorf("username is already that of %s", p.describe(other))
	}
	if other, taken := p.ids[a.ID.String()]; taken {
		return fmt.Errorf("id is already that of %s", p.describe(other))
	}
	p.names[a.Username], p.ids[a.ID.String()] = p.current, p.current
	p.list = append(p.list, a)
	return nil
}

// errOtherModel is the error of readAccount for an entry of a dump that is not a user.
var errOtherModel = errors.New("not a user")

// readAccount reads one entry of a user file or of a dump.
func (p *userParser) readAccount(raw json.RawMessage) (session.Account, error) {
	member, others, err := splitMembers(raw, append([]string{"model", "pk", "fields"}, userMembers...)...)
	if err != nil {
		return session.Account{}, err
	}
	if member["model"] == nil || member["fields"] == nil {
		p.unknown.add(others)
		return p.readMembers(member)
	}
	fields, err := objectMembers(member["fields"], p.usernameField, "password", "is_active")
	if err != nil {
		return session.Account{}, fmt.Errorf("fields: %w", err)
	}
	if fields[p.usernameField] == nil || fields["password"] == nil {
		return session.Account{}, errOtherModel
	}
	if member["pk"] == nil {
		return session.Account{}, errors.New("pk is missing: dump without natural primary keys")
	}
	if string(fields["password"]) == `""` {
		fields["password"] = json.RawMessage(`"!"`) // as in Django, where no password matches an empty hash
	}
	a, err := p.readMembers(map[string]json.RawMessage{
		"id": member["pk"], "username": fields[p.usernameField],
		"password": fields["password"], "is_active": fields["is_active"],
	})
	if err != nil && p.usernameField != defaultUsernameField {
		err = fmt.Errorf("%w (the username is the field %s)", err, p.usernameField)
	}
	return a, err
}

// readMembers reads the members of an entry in a user file and ignores all others. A user
// is active unless is_active is false.
func (p *userParser) readMembers(member map[string]json.RawMessage) (session.Account, error) {
	a := session.Account{Active: true}
	var err error
	if a.ID, err = session.ParseUserID(member["id"]); err != nil {
		return a, fmt.Errorf("id: %w", err)
	}
	if !utf8.Valid(member["username"]) { // encoding/json would change the name
		return a, fmt.Errorf("user %s: username is not valid UTF-8", a.ID.AppendJSON(nil))
	}
	if json.Unmarshal(member["username"], &a.Username) != nil || a.Username == "" {
		return a, errors.New("username is not a string of at least one character")
	}
	if err := ValidateUsername(a.Username); err != nil {
		return a, fmt.Errorf("user %s: %w", a.ID.AppendJSON(nil), err)
	}
	if a.Password, err = p.readHash(a.ID, member["password"]); err != nil {
		return a, err
	}
	switch string(member["is_active"]) {
	case "true", "":
	case "false":
		a.Active = false
	default:
		return a, errors.New("is_active is neither true nor false")
	}
	a.Claims, err = readClaims(a.ID, member["claims"])
	return a, err
}

// readHash reads the member password of a user.
func (p *userParser) readHash(user session.UserID, raw json.RawMessage) (hash string, err error) {
	isText := len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &hash) == nil || p.replaceHashes && string(raw) == "null"
	if !isText || hash == "" && !p.replaceHashes {
		return "", errors.New(`password is not a string: give a hash, or "!" for no password`)
	}
	err = password.ValidateHash(hash)
	switch {
	case err == nil:
		return hash, nil
	case !p.replaceHashes:
		return "", fmt.Errorf("password: %w", err)
	}
	p.warnings = append(p.warnings, fmt.Sprintf("%s: user %s can't log in until a new password is set: %v", p.describe(p.current), user.AppendJSON(nil), err))
	return unusableHash, nil
}
