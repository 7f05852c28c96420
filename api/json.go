package api

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The formats of the list's timestamps. The seed leaves the fraction out where
// it is exactly 0; here the width never changes.
const (
	wholeSeconds = "2006-01-02T15:04:05Z"
	microseconds = "2006-01-02T15:04:05.000000Z"
)

// appendTime appends a time in UTC, cut off, not rounded.
func appendTime(b []byte, t time.Time, format string) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, format)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string the way the seed's renderer writes
// it: UTF-8 unescaped, but U+2028 and U+2029 escaped so that the text is also
// a JavaScript literal. Bytes that are not UTF-8 become U+FFFD.
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

// appendEscape appends an ASCII character that can't stand for itself.
func appendEscape(b []byte, c byte) []byte {
	if i := strings.IndexByte("\"\\\n\r\t\b\f", c); i >= 0 {
		return append(b, '\\', `"\nrtbf`[i])
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
}

// appendMember appends a further member of an object: the comma where one is
// due, the key and the value.
func appendMember(b []byte, key, value string) []byte {
	return appendString(appendKey(b, key), value)
}

// appendKey is appendMember without the value.
func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendString(b, key), ':')
}
