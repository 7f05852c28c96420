package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// maxFile bounds a user file, in bytes: some 200,000 users.
const maxFile = 64 << 20

// Import reads users for a session.Directory: a user file, or what Django's
// "manage.py dumpdata auth.user" writes. Of a dump, entries of other models are
// passed over; a user model of one's own is read when it has the fields
// username and password. Errors name line and entry, and of what stands there
// nothing but an id.
func Import(r io.Reader) ([]session.Account, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	list, err := parseUsers(data)
	if err == nil && len(list) == 0 {
		err = errors.New("there is no user in it")
	}
	return list, err
}

// parseUsers reads a user file whole, or not at all.
func parseUsers(data []byte) ([]session.Account, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	p := userParser{data: bytes.TrimPrefix(data, []byte("\ufeff")), names: map[string]place{}, ids: map[string]place{}}
	p.dec = json.NewDecoder(bytes.NewReader(p.data))
	if token, err := p.dec.Token(); err != nil || token != json.Delim('[') {
		return nil, errors.New("it is not a JSON array of users")
	}
	for p.dec.More() {
		p.begin()
		if err := p.entry(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.text(p.at), err)
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, fmt.Errorf("line %d: the array has no end", p.line(len(p.data)))
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: more follows the array", p.line(int(p.dec.InputOffset())))
	}
	return p.list, nil
}

// userParser is the state of one parseUsers. It reads entry by entry, since
// encoding/json tells neither where an entry stands nor that two are the same.
type userParser struct {
	data  []byte
	dec   *json.Decoder
	at    place // of the entry being read
	list  []session.Account
	names map[string]place
	ids   map[string]place
}

// place is where an entry stands: its number from 1, and where it begins.
type place struct{ entry, offset int }

func (p *userParser) line(offset int) int { return 1 + bytes.Count(p.data[:offset], []byte("\n")) }

func (p *userParser) text(at place) string {
	return fmt.Sprintf("line %d, entry %d", p.line(at.offset), at.entry)
}

// begin notes where the next entry stands: after white space and a comma.
func (p *userParser) begin() {
	from := int(p.dec.InputOffset())
	skipped := len(p.data[from:]) - len(bytes.TrimLeft(p.data[from:], ", \t\r\n"))
	p.at = place{p.at.entry + 1, from + skipped}
}

func (p *userParser) entry() error {
	var member map[string]json.RawMessage // not a struct: it would take "ID" for id
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
		return fmt.Errorf("username is that of %s too", p.text(other))
	}
	if other, taken := p.ids[a.ID.String()]; taken {
		return fmt.Errorf("id is that of %s too", p.text(other))
	}
	p.names[a.Username], p.ids[a.ID.String()] = p.at, p.at
	p.list = append(p.list, a)
	return nil
}

// jsonError leaves out of a JSON error what it repeats of the input.
func jsonError(err error) error {
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New("it is not a JSON object")
	}
	return errors.New("it is not valid JSON")
}

// errOtherModel marks an entry of a dump that is no user.
var errOtherModel = errors.New("not a user")

// readAccount reads one entry, of a user file or of a dump.
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
		fields["password"] = json.RawMessage(`"!"`) // as Django takes it: no password fits
	}
	return readMembers(map[string]json.RawMessage{
		"id": member["pk"], "username": fields["username"],
		"password": fields["password"], "is_active": fields["is_active"],
	})
}

// readMembers reads the members that a user file documents and no others. A
// user is active unless is_active says otherwise.
func readMembers(member map[string]json.RawMessage) (session.Account, error) {
	a := session.Account{Active: true}
	var err error
	if a.ID, err = session.ParseUserID(member["id"]); err != nil {
		return a, fmt.Errorf("id: %w", err)
	}
	if !utf8.Valid(member["username"]) { // encoding/json would make another name of it
		return a, fmt.Errorf("user %s: username is not valid UTF-8", a.ID.AppendJSON(nil))
	}
	if json.Unmarshal(member["username"], &a.Username) != nil || a.Username == "" {
		return a, errors.New("username is not a string of at least one character")
	}
	if err := checkName(a.Username); err != nil {
		return a, fmt.Errorf("user %s: %w", a.ID.AppendJSON(nil), err)
	}
	if json.Unmarshal(member["password"], &a.Password) != nil || a.Password == "" {
		return a, errors.New(`password is not a string: give a hash, or "!" for none`)
	}
	if err := CheckHash(a.Password); err != nil {
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

// checkName refuses a name that no login gives: a login's is UTF-8 without NUL,
// and its outer white space is left out. To leave that out here as well would
// make one user of two, or let in who never could log in.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("username is empty")
	case !utf8.ValidString(name):
		return errors.New("username is not valid UTF-8")
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("username holds a NUL, which no login may: leave it out")
	case strings.TrimFunc(name, space) != name:
		return errors.New("username has white space around it, which a login's name never has: leave it out")
	}
	return nil
}

// readClaims takes a user's claims; errors say whose they are, by id, as the
// log does.
func readClaims(user session.UserID, raw []byte) (json.RawMessage, error) {
	claims, err := compactClaims(raw)
	if err != nil {
		err = fmt.Errorf("user %s: %w", user.AppendJSON(nil), err)
	}
	return claims, err
}

// compactClaims takes a JSON object that a token can carry, and leaves out its
// white space; nothing and null are no claims. encoding/json alone would let
// through what is not UTF-8, and each login of that user would fail.
func compactClaims(raw []byte) (json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var compact bytes.Buffer
	switch {
	case !utf8.Valid(raw):
		return nil, errors.New("claims is not valid UTF-8")
	case raw[0] != '{' || json.Compact(&compact, raw) != nil:
		return nil, errors.New("claims is not a JSON object")
	case compact.Len() > session.MaxClaims:
		return nil, fmt.Errorf("claims has %d bytes, and a token carries %d at most: leave some out", compact.Len(), session.MaxClaims)
	case compact.Len() == len("{}"):
		return nil, nil
	}
	return compact.Bytes(), nil
}
