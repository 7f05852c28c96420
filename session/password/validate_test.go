package password

import (
	"strings"
	"testing"

	"tokengate/session"
)

// TestPasswordsThatNoLoginCanHaveAreRejected checks that errors say why, and repeat nothing
// of the password.
func TestPasswordsThatNoLoginCanHaveAreRejected(t *testing.T) {
	const secret = "Tr0ub4dor"
	longest := strings.Repeat("é", session.MaxPassword/2)
	for text, want := range map[string]string{
		"":                          "at least 8 characters",
		"       \t\u3000\u0085":     "only white space or invisible",
		strings.Repeat("\u200b", 8): "only white space or invisible",
		strings.Repeat("\ufffe", 8): "only white space or invisible",
		"\x1b\b\a\x7f\x1b\b\a\x7f":  "only white space or invisible",
		secret + "\x00":             "control character",
		"\x00" + secret:             "control character",
		secret + "\x7f":             "control character",
		secret + "\x1b[A":           "control character",
		secret + "\u0085":           "control character",
		"\ufeff" + secret:           "byte order mark",
		"👩\u200d👩\u200d👧\u200d👦\ufeff!": "",
		secret + "\xe9":                "not valid UTF-8",
		secret + "\xed\xa0\x80":        "not valid UTF-8", // a surrogate
		"Tr0ub4d":                      "at least 8 characters",
		"éééé":                         "at least 8 characters", // of two bytes each
		longest + "x":                  "longer than 1024 bytes",
		longest[1:] + "xx":             "longer than 1024 bytes", // also not valid UTF-8
		strings.Repeat(" ", 70<<10):    "longer than 1024 bytes",
		longest:                        "",
		"密码密码密码密码":                     "",
		"Tr0ub4do":                     "",
		" spaced ":                     "",
		secret + "\n" + secret:         "control character",
		"\u200b\u200b\u200b\u200bpass": "",
	} {
		err := Validate(text, 8)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.20q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.20q: got error %v, want one with %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "Tr0"):
			t.Errorf("error %q repeats the password", err)
		}
	}
	for _, least := range []int{-1, 0, 1} {
		if err := Validate("x", least); err != nil {
			t.Errorf("minimum %d: %v", least, err)
		}
		if err := Validate("", least); err == nil || !strings.Contains(err.Error(), "at least 1 character") {
			t.Errorf("minimum %d: got error %v for an empty password", least, err)
		}
	}
}
