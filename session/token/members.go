package token

import (
	"encoding/json"
	"unicode/utf8"
)

// members walks the members of the JSON object that data is, nested ones not.
// Names come decoded and without quotes, values as they stand. It gives false
// when data is no object in valid UTF-8, or when member gave false; what member
// was told until then has to be thrown away.
//
// Text made of plain strings and integers without white space, which our own
// tokens are, is checked on the way; anything else is checked by encoding/json
// as well. So the common case costs one pass and no allocation, and no text is
// taken that encoding/json would refuse.
func members(data []byte, member func(name, value []byte) bool) bool {
	s := scanner{data: data, plain: true}
	return s.object(member) && (s.plain || utf8.Valid(data) && json.Valid(data))
}

// scanner finds where the parts of an object begin and end. It never reads
// past the end, whatever the data.
type scanner struct {
	data    []byte
	at      int
	plain   bool // nothing seen yet that encoding/json has to judge
	escaped bool // the string read last holds a backslash
}

// object reads the whole text as one object. Every way through it that leaves
// plain set has seen all of RFC 8259's grammar that plain text can use: braces,
// commas and colons in their places, closed strings, whole numbers, and no byte
// more.
func (s *scanner) object(member func(name, value []byte) bool) bool {
	if s.next() != '{' {
		return false
	}
	if s.peek() == '}' {
		s.at++
		return s.end()
	}
	for {
		name, ok := s.name()
		if !ok {
			return false
		}
		value := s.value()
		if len(value) == 0 || !member(name, value) {
			return false
		}
		switch s.next() {
		case ',':
		case '}':
			return s.end()
		default:
			return false
		}
	}
}

// name reads a member's name and the colon after it.
func (s *scanner) name() (name []byte, ok bool) {
	if s.peek() != '"' {
		return nil, false
	}
	quoted := s.string()
	if s.escaped || quoted == nil {
		decoded, ok := text(quoted)
		return []byte(decoded), ok && s.next() == ':'
	}
	return quoted[1 : len(quoted)-1], s.next() == ':'
}

// peek skips white space and shows the byte after it, 0 at the end. A 0 in the
// text itself passes for the end, which is right: nothing may begin with it.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.plain = false
			s.at++
		default:
			return c
		}
	}
	return 0
}

// next takes the byte that peek shows.
func (s *scanner) next() byte {
	c := s.peek()
	s.at++
	return c
}

// end leaves what follows the object, which may be white space, to encoding/json.
func (s *scanner) end() bool {
	if s.at != len(s.data) {
		s.plain = false
	}
	return true
}

// value reads one value; empty if there is none.
func (s *scanner) value() []byte {
	switch s.peek() {
	case '"':
		return s.string()
	case '{', '[':
		return s.nested()
	}
	return s.scalar()
}

// string reads a string with its quotes; empty if it does not end.
func (s *scanner) string() []byte {
	start := s.at
	s.escaped = false
	for s.at++; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[start:s.at]
		case c == '\\':
			s.plain, s.escaped = false, true
			s.at++
		case c < ' ' || c >= utf8.RuneSelf:
			s.plain = false
		}
	}
	return nil
}

// nested reads an object or array; whether its brackets match is left to
// encoding/json. Empty if it does not end.
func (s *scanner) nested() []byte {
	start, depth := s.at, 0
	s.plain = false
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			if s.string() == nil {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return s.data[start:s.at]
		}
	}
	return nil
}

// scalar reads a number, true, false or null.
func (s *scanner) scalar() []byte {
	start := s.at
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ',', ':', '"', '{', '}', '[', ']', ' ', '\t', '\r', '\n':
			return s.scalarFrom(start)
		}
		s.at++
	}
	return s.scalarFrom(start)
}

// scalarFrom ends a scalar. Only whole numbers are judged here; true, 1.5 and
// nonsense alike are left to encoding/json.
func (s *scanner) scalarFrom(start int) []byte {
	value := s.data[start:s.at]
	if !isInteger(value) {
		s.plain = false
	}
	return value
}

// isInteger tells whether value is a JSON number without fraction and exponent.
func isInteger(value []byte) bool {
	if len(value) > 0 && value[0] == '-' {
		value = value[1:]
	}
	if len(value) == 0 || value[0] == '0' && len(value) > 1 {
		return false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// text is the string that value is; ok is false when it is another thing.
func text(value []byte) (s string, ok bool) {
	if inner, ok := unescaped(value); ok {
		return string(inner), true
	}
	return unquote(value)
}

// isText tells whether value is the string want.
func isText(value []byte, want string) bool {
	if inner, ok := unescaped(value); ok {
		return string(inner) == want
	}
	s, ok := unquote(value)
	return ok && s == want
}

// unescaped is what a string in plain ASCII says.
func unescaped(value []byte) (inner []byte, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	inner = value[1 : len(value)-1]
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			return nil, false
		}
	}
	return inner, true
}

// unquote decodes a string with escapes, or with letters beyond ASCII. A lone
// surrogate becomes U+FFFD, as everywhere in encoding/json.
func unquote(value []byte) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' { // null would pass for ""
		return "", false
	}
	err := json.Unmarshal(value, &s)
	return s, err == nil
}
