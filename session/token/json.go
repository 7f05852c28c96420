package token

import (
	"encoding/json"
	"unicode/utf8"
)

// eachMember calls f with each member of the JSON object in data. It does not
// descend into nested values. Names are decoded and without quotes; values are
// JSON. It returns false if data is not a JSON object in valid UTF-8, or if f
// returns false; the caller must then discard what f has been called with.
//
// Text of plain ASCII strings and integers without white space, such as the
// claims that Sign writes, is validated in the same pass. Any other text is
// validated by encoding/json as well. So the common case takes one pass and no
// allocation, and no text is accepted that encoding/json would reject.
func eachMember(data []byte, f func(name, value []byte) bool) bool {
	s := scanner{data: data, plain: true}
	return s.object(f) && (s.plain || utf8.Valid(data) && json.Valid(data))
}

// scanner finds where the members of a JSON object begin and end. It never reads
// beyond the data, even if they are invalid.
type scanner struct {
	data    []byte
	pos     int
	plain   bool // encoding/json need not validate what has been read so far
	escaped bool // the string read last contains a backslash
}

// object reads all data as one object. If plain is still set at the end, the data
// are valid JSON: object has then checked everything of the grammar of RFC 8259
// that plain text can use, that is, the places of braces, commas and colons, closed
// strings, integers, and that nothing follows.
func (s *scanner) object(f func(name, value []byte) bool) bool {
	if s.next() != '{' {
		return false
	}
	if s.peek() == '}' {
		s.pos++
		return s.end()
	}
	for {
		name, ok := s.name()
		if !ok {
			return false
		}
		value := s.value()
		if len(value) == 0 || !f(name, value) {
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
		decoded, ok := parseString(quoted)
		return []byte(decoded), ok && s.next() == ':'
	}
	return quoted[1 : len(quoted)-1], s.next() == ':'
}

// peek skips white space and returns the next byte without reading it, or 0 at
// the end. A 0 in the data is treated like the end, since no JSON value or
// punctuation begins with it.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.plain = false
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// next reads the byte that peek returns.
func (s *scanner) next() byte {
	c := s.peek()
	s.pos++
	return c
}

// end is called after the object. What follows it may be white space, so it is
// left to encoding/json.
func (s *scanner) end() bool {
	if s.pos != len(s.data) {
		s.plain = false
	}
	return true
}

// value reads one value. It returns an empty slice if there is none.
func (s *scanner) value() []byte {
	switch s.peek() {
	case '"':
		return s.string()
	case '{', '[':
		return s.nested()
	}
	return s.scalar()
}

// string reads a string and returns it with its quotes, or nil if it is not
// closed.
func (s *scanner) string() []byte {
	start := s.pos
	s.escaped = false
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos]
		case c == '\\':
			s.plain, s.escaped = false, true
			s.pos++
		case c < ' ' || c >= utf8.RuneSelf:
			s.plain = false
		}
	}
	return nil
}

// nested reads an object or array. It returns nil if that is not closed. Whether
// the brackets match is left to encoding/json.
func (s *scanner) nested() []byte {
	start, depth := s.pos, 0
	s.plain = false
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
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
		s.pos++
		if depth == 0 {
			return s.data[start:s.pos]
		}
	}
	return nil
}

// scalar reads a number, true, false or null. Only integers are validated here;
// anything else, such as true, 1.5 or an invalid word, is left to encoding/json.
func (s *scanner) scalar() []byte {
	start := s.pos
	for s.pos < len(s.data) && !endsScalar(s.data[s.pos]) {
		s.pos++
	}
	value := s.data[start:s.pos]
	if !isInteger(value) {
		s.plain = false
	}
	return value
}

// endsScalar reports whether c cannot be part of a number, true, false or null.
func endsScalar(c byte) bool {
	switch c {
	case ',', ':', '"', '{', '}', '[', ']', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// isInteger reports whether value is a JSON number without fraction and exponent.
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

// parseString decodes a JSON string. ok is false if value is not a string.
func parseString(value []byte) (s string, ok bool) {
	if inner, ok := plainString(value); ok {
		return string(inner), true
	}
	return unquote(value)
}

// isString reports whether value is a JSON string that decodes to want. It does
// not allocate if value needs no decoding.
func isString(value []byte, want string) bool {
	if inner, ok := plainString(value); ok {
		return string(inner) == want
	}
	s, ok := unquote(value)
	return ok && s == want
}

// plainString returns the content of a JSON string in ASCII without escapes. ok is
// false for any other value.
func plainString(value []byte) (inner []byte, ok bool) {
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

// unquote decodes a JSON string with escapes or non-ASCII letters. A lone
// surrogate becomes U+FFFD, as always in encoding/json.
func unquote(value []byte) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' { // json.Unmarshal would decode null to ""
		return "", false
	}
	err := json.Unmarshal(value, &s)
	return s, err == nil
}
