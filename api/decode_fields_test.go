package api

import (
	"strings"
	"testing"
)

func TestFieldCheck(t *testing.T) {
	info := field{name: "info", max: 8}
	for _, c := range []struct {
		v    value
		want string
	}{
		{value{}, "This field is required."},
		{value{kind: null}, "This field may not be null."},
		{value{kind: notText}, "Not a valid string."},
		{value{text, " \u00a0\u2003\u3000\x1c\x1f\u0085 "}, "This field may not be blank."},
		{value{text, "a\x00"}, "Null characters are not allowed."},
		{value{text, "\xed\xbf\xbf"}, "Surrogate characters are not allowed: U+DFFF."},
		{value{text, "\x00\xed\xa0\x80"}, "Null characters are not allowed.|Surrogate characters are not allowed: U+D800."},
		{value{text, "ééééé"}, "Ensure this field has no more than 8 bytes."},
		{value{text, " 12345678 "}, ""},
		{value{text, "\u200b"}, ""}, // not white space in Python either
	} {
		_, messages := info.check(c.v)
		if got := strings.Join(messages, "|"); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.v, got, c.want)
		}
	}
	if got, _ := (field{verbatim: true}).check(value{text, " pw "}); got != " pw " {
		t.Errorf("verbatim field: got %q, want it with its spaces", got)
	}
}
