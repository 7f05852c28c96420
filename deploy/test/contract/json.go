package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Decoded JSON is nil, bool, string, [json.Number], []any or map[string]any.
// Numbers keep their text, because 1 and 1.0 are different to Python.
//
// A lone surrogate, U+D800 to U+DFFF, is stored as the private code point that
// is surrogateShift above it, because a Go string cannot hold one. The recordings
// do not use these code points for anything else.
const (
	surrogateShift = 0x100000
	firstSurrogate = 0xD800 + surrogateShift
	lastSurrogate  = 0xDFFF + surrogateShift
)

// escapes matches a backslash, a surrogate pair or a lone surrogate, in JSON's
// escaped form.
var escapes = regexp.MustCompile(`\\(?:\\|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2})`)

// decode parses one JSON value. Unknown members of a struct are errors.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(escapes.ReplaceAllFunc(text, shiftSurrogate)))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the JSON value is followed by something else")
	}
	return nil
}

// shiftSurrogate rewrites the escape of a lone surrogate and leaves the others
// as they are.
func shiftSurrogate(escape []byte) []byte {
	if len(escape) != len(`\ud800`) {
		return escape
	}
	code, _ := strconv.ParseUint(string(escape[2:]), 16, 32)
	high, low := utf16.EncodeRune(rune(code) + surrogateShift)
	return fmt.Appendf(nil, `\u%04x\u%04x`, high, low)
}

// memberNames returns the names of an object's members in the order of the
// text.
func memberNames(text []byte) (names []string, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprint(name))
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// encode returns v as JSON. If ascii is true, characters outside of ASCII are
// escaped. If it is false, a lone surrogate is written as three bytes, which are not valid
// UTF-8.
func encode(v any, ascii bool) string { return string(appendValue(nil, v, ascii)) }

func appendValue(b []byte, v any, ascii bool) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v, ascii)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			b = appendValue(separate(b, i), item, ascii)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			b = append(appendString(separate(b, i), name, ascii), ':')
			b = appendValue(b, v[name], ascii)
		}
		return append(b, '}')
	}
	return fmt.Append(b, v) // bool or json.Number
}

func separate(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}

func appendString(b []byte, s string, ascii bool) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= firstSurrogate && r <= lastSurrogate:
			b = appendSurrogate(b, r-surrogateShift, ascii)
		case r > 0xFFFF && ascii:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		case r < ' ' || r > '~' && ascii:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

func appendSurrogate(b []byte, r rune, ascii bool) []byte {
	if ascii {
		return fmt.Appendf(b, `\u%04x`, r)
	}
	return append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
}

// kind returns the name of v's type. Integers and other numbers are different
// types, as in Python.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case string:
		return "string"
	case []any:
		return "list"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	}
	return "object"
}

// equal reports whether a and b are equal in Python, where 1, 1.0 and true are
// equal. compareBody checks the types separately.
func equal(a, b any) bool {
	if x, y := rational(a), rational(b); x != nil && y != nil {
		return x.Cmp(y) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

// rational returns the value of a number or boolean, or nil for other types.
func rational(v any) *big.Rat {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewRat(1, 1)
		}
		return new(big.Rat)
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return r
		}
	}
	return nil
}

// float returns a number's value. Beyond the range of float64 it is infinite.
func float(v any) (value float64, ok bool) {
	n, ok := v.(json.Number)
	if ok {
		value, _ = strconv.ParseFloat(n.String(), 64)
	}
	return value, ok
}

// short returns v as JSON, cut to a length that is readable in a message.
func short(v any) string {
	const limit = 200
	text := encode(v, true)
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}
