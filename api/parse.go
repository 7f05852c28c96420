package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is what a field's value is, as far as validation must know.
type kind uint8

const (
	absent kind = iota
	null
	text   // a string, or a number as the text that the seed makes of it
	noText // true, false, a list, an object or an uploaded file
)

// value is one field's value. A lone surrogate in a JSON string, which UTF-8
// can't hold, stands in text as the three bytes that it would have there.
type value struct {
	kind kind
	text string
}

// plainObject tells that a document is an object of plain strings: ASCII without
// escapes, and spaces nowhere but after a colon or comma. Nearly all are, and
// this takes a fifth of json.Valid's time, which judges the others.
func plainObject(data []byte) bool {
	if len(data) < 2 || data[0] != '{' {
		return false
	}
	for at := 1; ; {
		for _, end := range [2]byte{':', ','} {
			if at < len(data) && data[at] == ' ' && at > 1 {
				at++
			}
			if at = plainString(data, at); at >= len(data) {
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

// plainString gives where the string ends that begins at at; past the end of
// data where there is none.
func plainString(data []byte, at int) int {
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

// walker goes through the members of a JSON document that is known to be valid,
// so it needs no checks of its own and copies only what is asked for.
type walker struct {
	data []byte
	at   int
}

func (w *walker) space() {
	for w.at < len(w.data) && w.data[w.at] <= ' ' {
		w.at++
	}
}

// members calls found with the raw key, quotes included, and the raw value of
// each member of the object that the document is.
func (w *walker) members(found func(key, raw []byte)) {
	w.space()
	w.at++ // {
	for w.space(); w.data[w.at] != '}'; w.space() {
		if w.data[w.at] == ',' {
			w.at++
			w.space()
		}
		key := w.skip()
		w.space()
		w.at++ // :
		w.space()
		found(key, w.skip())
	}
}

// skip passes one value and gives its text.
func (w *walker) skip() []byte {
	start := w.at
	switch w.data[w.at] {
	case '"':
		w.skipString()
	case '{', '[':
		w.skipNested()
	default:
		for w.at < len(w.data) && !endsScalar(w.data[w.at]) {
			w.at++
		}
	}
	return w.data[start:w.at]
}

func endsScalar(c byte) bool { return c == ',' || c == ']' || c == '}' || c <= ' ' }

// skipString passes a string; what a backslash escapes can't end it.
func (w *walker) skipString() {
	for w.at++; w.data[w.at] != '"'; w.at++ {
		if w.data[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
}

// skipNested counts brackets instead of recursing, so depth costs nothing.
func (w *walker) skipNested() {
	for depth := 0; ; {
		switch w.data[w.at] {
		case '"':
			w.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		w.at++
		if depth == 0 {
			return
		}
	}
}

// valueOf reads a raw JSON value.
func valueOf(raw []byte) value {
	switch raw[0] {
	case '"':
		return value{text, unquote(raw)}
	case 'n':
		return value{kind: null}
	case 't', 'f', '[', '{':
		return value{kind: noText}
	}
	return value{text, numberText(string(raw))}
}

// unquote reads a valid JSON string. encoding/json is no help here: it turns a
// lone surrogate into U+FFFD, and the seed refuses one.
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

// hex4 reads the four digits of an escape.
func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32) // json.Valid has seen to it
	return rune(n)
}

// appendRune is utf8.AppendRune that writes surrogates too.
func appendRune(b []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0xBF, 0x80|byte(r)&0xBF)
	}
	return utf8.AppendRune(b, r)
}

// firstSurrogate finds the first lone surrogate of a text that is UTF-8 but for
// those.
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

// numberText is Python's str() of a JSON number, which is the text that the
// seed takes a number for.
func numberText(n string) string {
	if !strings.ContainsAny(n, ".eE") {
		if n == "-0" {
			return "0"
		}
		return n
	}
	f, _ := strconv.ParseFloat(n, 64) // out of range gives ±Inf, as in Python
	return floatText(f)
}

// floatText is Python's repr of a float: the shortest digits that give it back,
// with an exponent below 1e-4 and from 1e16 on.
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

// typeName is what Python calls the type of a JSON document that is no object.
func typeName(raw []byte) string {
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

// syntaxOffset is where a document that json.Valid has refused goes wrong.
func syntaxOffset(data []byte) int {
	var raw json.RawMessage
	if e, ok := json.Unmarshal(data, &raw).(*json.SyntaxError); ok {
		return max(int(e.Offset)-1, 0)
	}
	return 0
}
