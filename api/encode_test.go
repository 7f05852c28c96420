package api

import "testing"

func TestAppendString(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `""`},
		{"plain é 例 📱", `"plain é 例 📱"`},
		{"<b>&\"\\/", `"<b>&\"\\/"`},
		{"\n\r\t\b\f\x00\x1f\x7f", `"\n\r\t\b\f\u0000\u001f` + "\x7f\""},
		{"a\u2028b\u2029c", `"a\u2028b\u2029c"`},
		{"bad \xff\xfe byte", `"bad ` + "\uFFFD\uFFFD" + ` byte"`},
	} {
		if got := string(appendString(nil, c.text)); got != c.want {
			t.Errorf("appendString(%q) = %s, want %s", c.text, got, c.want)
		}
	}
}
