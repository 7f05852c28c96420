package api

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLogPath(t *testing.T) {
	short, long := strings.Repeat("s", maxLogSegment), strings.Repeat("l", maxLogSegment+1)
	for path, want := range map[string]string{
		"": "", "*": "*", "/": "/", "/api/session/login/": "/api/session/login/",
		"/" + short + "/" + short:        "/" + short + "/" + short,
		"/a/" + long + "/b":              "/a/llllllll…/b",
		long:                             "llllllll…",
		"//" + long + "/":                "//llllllll…/",
		strings.Repeat("/abc", 64):       strings.Repeat("/abc", 64),
		strings.Repeat("/abc", 64) + "/": strings.Repeat("/abc", 64) + "…",
		"/1234567" + strings.Repeat("é", maxLogSegment): "/1234567…",
	} {
		if got := logPath(path); got != want {
			t.Errorf("logPath(%q) = %q, want %q", path, got, want)
		}
	}
}

// FuzzLogPath checks that no long segment gets into the log, and no long path.
func FuzzLogPath(f *testing.F) {
	f.Add("/a/"+strings.Repeat("b", 70), 3)
	f.Add("/é", 100)
	f.Fuzz(func(t *testing.T, part string, times int) {
		path := strings.Repeat(part, min(max(times, 0), 100))
		got := logPath(path)
		if len(got) > maxLogPath+len("…") || len(path) <= maxLogSegment && got != path {
			t.Errorf("%q: got %q", path, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if len(segment) > maxLogSegment+len("…") {
				t.Errorf("%q: got the segment %q", path, segment)
			}
		}
		if utf8.ValidString(path) && !utf8.ValidString(got) {
			t.Errorf("%q: got %q, which is not UTF-8", path, got)
		}
	})
}

func TestTraceID(t *testing.T) {
	const trace, valid = "0af7651916cd43dd8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, header := range []string{valid, valid[:53] + "00", "cc" + valid[2:], "01" + valid[2:] + "-what-a-later-version-has"} {
		if got := traceID([]string{header}); got != trace {
			t.Errorf("%q: got %q, want %q", header, got, trace)
		}
	}
	for _, header := range [][]string{
		nil, {""}, {"00"}, {valid, valid}, {valid[:54]}, {valid + "-"}, {valid + "-01"}, {valid + "x"}, {"01" + valid[2:] + "x"},
		{"ff" + valid[2:]}, {"0g" + valid[2:]}, {strings.ToUpper(valid)}, {" " + valid}, {strings.ReplaceAll(valid, "-", "_")},
		{strings.Replace(valid, trace, strings.Repeat("0", 32), 1)}, {strings.Replace(valid, "b7ad6b7169203331", strings.Repeat("0", 16), 1)},
		{strings.Replace(valid, "0af7", "0af\n", 1)}, {strings.Replace(valid, "203331-", "20333-1", 1)}, {valid[:53] + "0g"},
	} {
		if got := traceID(header); got != "" {
			t.Errorf("%q: got %q, want nothing", header, got)
		}
	}
}
