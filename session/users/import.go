package users

import (
	"bytes"
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

// Import reads users for a [session.Directory] from a user file or from the output of
// Django's "manage.py dumpdata auth.user". In a dump, entries of other models are
// skipped; a custom user model is read if it has the fields username and password. Errors
// give the line and the entry, and repeat nothing of its content except the id.
func Import(r io.Reader) ([]session.Account, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	list, err := parseUsers(data)
	if err == nil && len(list) == 0 {
		err = errors.New("there are no users in the input")
	}
	return list, err
}

// parseUsers parses a user file. If any entry is invalid, it returns no users.
func parseUsers(data []byte) ([]session.Account, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("longer than %d bytes", maxFileSize)
	}
	p := userParser{data: bytes.TrimPrefix(data, []byte("\ufeff")), names: map[string]position{}, ids: map[string]position{}}
	p.dec = json.NewDecoder(bytes.NewReader(p.data))
	if token, err := p.dec.Token(); err != nil || token != json.Delim('[') {
		return nil, errors.New("not a JSON array of users")
	}
	for p.dec.More() {
		p.startEntry()
		if err := p.entry(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.describe(p.current), err)
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, fmt.Errorf("line %d: the array is not closed", p.line(len(p.data)))
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: there is more text after the array", p.line(int(p.dec.InputOffset())))
	}
	return p.list, nil
}

// userParser is the state of parseUsers. It reads entry by entry, since encoding/json
// reports neither the position of an entry nor that two entries are the same.
type userParser struct {
	data    []byte
	dec     *json.Decoder
	current position // of the entry being read
	list    []session.Account
	names   map[string]position
	ids     map[string]position
}

// position is the position of an entry: its number, from 1, and the offset of its first
// byte.
type position struct{ entry, offset int }

func (p *userParser) line(offset int) int { return 1 + bytes.Count(p.data[:offset], []byte("\n")) }

func (p *userParser) describe(at position) string {
	return fmt.Sprintf("line %d, entry %d", p.line(at.offset), at.entry)
}

// startEntry sets current to the position of the next entry, which follows white space and
// a comma.
func (p *userParser) startEntry() {
	from := int(p.dec.InputOffset())
	skipped := len(p.data[from:]) - len(bytes.TrimLeft(p.data[from:], ", \t\r\n"))
	p.current = position{p.current.entry + 1, from + skipped}
}

func (p *userParser) entry() error {
	var member map[string]json.RawMessage // a struct would accept "ID" for id
	if err := p.dec.Decode(&member); err != nil {
		return jsonError(err)
	}
	a, err := readAccount(member)
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

// jsonError returns an error without the text of the input that JSON errors repeat.
func jsonError(err error) error {
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New("not a JSON object")
	}
	return errors.New("not valid JSON")
}

// errOtherModel is the error of readAccount for an entry of a dump that is not a user.
var errOtherModel = errors.New("not a user")

// readAccount reads one entry of a user file or of a dump.
func readAccount(member map[string]json.RawMessage) (session.Account, error) {
	if member["model"] == nil || member["fields"] == nil {
		return readMembers(member)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(member["fields"], &fields) != nil {
		return session.Account{}, errors.New("fields is not a JSON object")
	}
	if fields["username"] == nil || fields["password"] == nil {
		return session.Account{}, errOtherModel
	}
	if member["pk"] == nil {
		return session.Account{}, errors.New("pk is missing: dump without natural primary keys")
	}
	if string(fields["password"]) == `""` {
		fields["password"] = json.RawMessage(`"!"`) // as in Django, where no password matches an empty hash
	}
	return readMembers(map[string]json.RawMessage{
		"id": member["pk"], "username": fields["username"],
		"password": fields["password"], "is_active": fields["is_active"],
	})
}

// readMembers reads the members of an entry in a user file and ignores all others. A user
// is active unless is_active is false.
func readMembers(member map[string]json.RawMessage) (session.Account, error) {
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
	if json.Unmarshal(member["password"], &a.Password) != nil || a.Password == "" {
		return a, errors.New(`password is not a string: give a hash, or "!" for no password`)
	}
	if err := password.ValidateHash(a.Password); err != nil {
		return a, fmt.Errorf("password: %w", err)
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
