package api

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The formats of the list's timestamps. The Django app omits a fraction of exactly
// 0; here the width is fixed.
const (
	wholeSeconds = "2006-01-02T15:04:05Z"
	microseconds = "2006-01-02T15:04:05.000000Z"
)

// appendTime appends t in UTC as a JSON string, truncated to the format's precision.
func appendTime(b []byte, t time.Time, format string) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, format)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string as Django REST framework renders it:
// UTF-8 unescaped, except U+2028 and U+2029, which are escaped so that the text is
// also a JavaScript literal. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			i++
			if c >= ' ' && c != '"' && c != '\\' {
				continue
			}
			b = appendEscape(append(b, s[start:i-1]...), c)
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i-1]...), "\uFFFD"...)
			start = i
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i-size]...), `\u202`...)
			b = append(b, hexDigits[r&0xF])
			start = i
		}
	}
	return append(append(b, s[start:]...), '"')
}

// appendEscape appends the escape sequence of an ASCII character.
func appendEscape(b []byte, c byte) []byte {
	if i := strings.IndexByte("\"\\\n\r\t\b\f", c); i >= 0 {
		return append(b, '\\', `"\nrtbf`[i])
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
}

// appendMember appends a member with a string value to an object, after a comma
// unless it is the first member.
func appendMember(b []byte, key, value string) []byte {
	return appendString(appendKey(b, key), value)
}

// appendKey appends the key of a member like appendMember. The caller appends the
// value.
func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendString(b, key), ':')
}

// appendItem appends the opening brace of an object to an array, after a comma
// unless it is the first element.
func appendItem(b []byte) []byte {
	if b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	return append(b, '{')
}

// appendList appends an array of strings.
func appendList(b []byte, items []string) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, item)
	}
	return append(b, ']')
}
