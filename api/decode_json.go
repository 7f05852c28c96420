package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads a JSON object.
func (f *form) parseJSON(body []byte) error { return eachJSONMember(body, f.setJSON) }

// eachJSONMember calls found for each member of a JSON object, with the raw key, quotes
// included, and the raw value. json.Valid limits the nesting, so deeply nested brackets cost
// no more than other input of the same size.
func eachJSONMember(body []byte, found func(key, raw []byte)) error {
	plain := isPlainObject(body)
	if !plain && !utf8.Valid(body) { // json.Valid accepts invalid UTF-8
		return malformed("JSON parse error - the text is not UTF-8")
	}
	if !plain && !json.Valid(body) {
		valid := body[:syntaxOffset(body)]
		line := 1 + bytes.Count(valid, []byte("\n"))
		column := 1 + utf8.RuneCount(valid[1+bytes.LastIndexByte(valid, '\n'):])
		return malformed(fmt.Sprintf("JSON parse error - Expecting value: line %d column %d (char %d)", line, column, utf8.RuneCount(valid)))
	}
	w := jsonWalker{data: body}
	w.skipSpace()
	switch body[w.pos] {
	case 'n':
		return notAnObject("No data provided")
	case '{':
		w.eachMember(found)
		return nil
	}
	return notAnObject("Invalid data. Expected a dictionary, but got " + pythonType(w.skipValue()) + ".")
}

// setJSON sets the field with a raw key to a raw value.
func (f *form) setJSON(key, raw []byte) {
	if slot := f.slot(unquote(key)); slot != nil {
		*slot = jsonValue(raw)
	}
}

// isPlainObject reports whether data is a JSON object of plain strings: ASCII
// without escapes, and a space only after a colon or comma. Nearly all bodies are
// such objects, and this check takes a fifth of the time of json.Valid, which
// checks all other bodies.
func isPlainObject(data []byte) bool {
	if len(data) < 2 || data[0] != '{' {
		return false
	}
	for at := 1; ; {
		for _, end := range [2]byte{':', ','} {
			if at < len(data) && data[at] == ' ' && at > 1 {
				at++
			}
			if at = plainStringEnd(data, at); at >= len(data) {
				return false
			}
			if data[at] == '}' && end == ',' {
				return at == len(data)-1
			}
			if data[at] != end {
				return false
			}
			at++
		}
	}
}

// plainStringEnd returns the index after the plain string that begins at at, or
// len(data) if there is none.
func plainStringEnd(data []byte, at int) int {
	if at >= len(data) || data[at] != '"' {
		return len(data)
	}
	for at++; at < len(data); at++ {
		switch c := data[at]; {
		case c == '"':
			return at + 1
		case c < ' ' || c == '\\' || c >= utf8.RuneSelf:
			return len(data)
		}
	}
	return at
}

// jsonWalker iterates over the members of a JSON document. The document must be
// valid, so the walker makes no checks, and it copies nothing.
type jsonWalker struct {
	data []byte
	pos  int
}

func (w *jsonWalker) skipSpace() {
	for w.pos < len(w.data) && w.data[w.pos] <= ' ' {
		w.pos++
	}
}

// eachMember calls found for each member of the document, which must be an object,
// with the raw key, quotes included, and the raw value.
func (w *jsonWalker) eachMember(found func(key, raw []byte)) {
	w.skipSpace()
	w.pos++ // {
	for w.skipSpace(); w.data[w.pos] != '}'; w.skipSpace() {
		if w.data[w.pos] == ',' {
			w.pos++
			w.skipSpace()
		}
		key := w.skipValue()
		w.skipSpace()
		w.pos++ // :
		w.skipSpace()
		found(key, w.skipValue())
	}
}

// skipValue skips one value and returns its text.
func (w *jsonWalker) skipValue() []byte {
	start := w.pos
	switch w.data[w.pos] {
	case '"':
		w.skipString()
	case '{', '[':
		w.skipNested()
	default:
		for w.pos < len(w.data) && !endsScalar(w.data[w.pos]) {
			w.pos++
		}
	}
	return w.data[start:w.pos]
}

func endsScalar(c byte) bool { return c == ',' || c == ']' || c == '}' || c <= ' ' }

// skipString skips a string. A quote after a backslash does not end it.
func (w *jsonWalker) skipString() {
	for w.pos++; w.data[w.pos] != '"'; w.pos++ {
		if w.data[w.pos] == '\\' {
			w.pos++
		}
	}
	w.pos++
}

// skipNested skips an object or array. It counts brackets instead of recursing, so
// deep nesting uses no stack.
func (w *jsonWalker) skipNested() {
	for depth := 0; ; {
		switch w.data[w.pos] {
		case '"':
			w.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		w.pos++
		if depth == 0 {
			return
		}
	}
}

// jsonValue converts a raw JSON value.
func jsonValue(raw []byte) value {
	switch raw[0] {
	case '"':
		return value{text, unquote(raw)}
	case 'n':
		return value{kind: null}
	case 't', 'f', '[', '{':
		return value{kind: notText}
	}
	return value{text, numberText(string(raw))}
}

// unquote decodes a valid JSON string. It does not use encoding/json, which turns a
// lone surrogate into U+FFFD, because the Django app rejects lone surrogates.
func unquote(raw []byte) string {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if raw[i] != 'u' {
			out = append(out, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, raw[i])])
			continue
		}
		r := hex4(raw[i+1:])
		i += 4
		if utf16.IsSurrogate(r) && i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(raw[i+3:])); pair != utf8.RuneError {
				r = pair
				i += 6
			}
		}
		out = appendRune(out, r)
	}
	return string(out)
}

// hex4 parses the four hexadecimal digits of an escape.
func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32) // cannot fail: json.Valid has checked the digits
	return rune(n)
}

// appendRune is like utf8.AppendRune but also encodes surrogates.
func appendRune(b []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0xBF, 0x80|byte(r)&0xBF)
	}
	return utf8.AppendRune(b, r)
}

// firstSurrogate returns the first lone surrogate of a text as encoded by
// appendRune. The rest of the text must be valid UTF-8.
func firstSurrogate(s string) (r rune, found bool) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 && i+2 < len(s) {
			return rune(s[i]&0xF)<<12 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F), true
		}
		i += size
	}
	return 0, false
}

// numberText returns the result of Python's str() for a JSON number. The Django
// app accepts a number as that text.
func numberText(n string) string {
	if !strings.ContainsAny(n, ".eE") {
		if n == "-0" {
			return "0"
		}
		return n
	}
	f, _ := strconv.ParseFloat(n, 64) // ±Inf when out of range, as in Python
	return floatText(f)
}

// floatText returns the result of Python's repr() for a float: the shortest digits
// that parse to the same float, with an exponent below 1e-4 and from 1e16 on.
func floatText(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, ok := strings.Cut(s, "e")
	if !ok {
		return strings.ToLower(strings.TrimPrefix(s, "+")) // inf, -inf
	}
	exp, _ := strconv.Atoi(exponent)
	if exp < -4 || exp >= 16 {
		return mantissa + "e" + exponent
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// pythonType returns Python's name for the type of a JSON value other than an
// object or null.
func pythonType(raw []byte) string {
	switch raw[0] {
	case '[':
		return "list"
	case '"':
		return "str"
	case 't', 'f':
		return "bool"
	}
	if strings.ContainsAny(string(raw), ".eE") {
		return "float"
	}
	return "int"
}

// syntaxOffset returns the offset of the syntax error in a document that json.Valid
// has rejected: that of the first byte of a character, for all versions of Go.
func syntaxOffset(data []byte) int {
	var raw json.RawMessage
	e, ok := json.Unmarshal(data, &raw).(*json.SyntaxError)
	if !ok {
		return 0
	}
	at := max(int(e.Offset)-1, 0)
	for at > 0 && !utf8.RuneStart(data[at]) {
		at--
	}
	return at
}
