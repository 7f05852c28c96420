package api

import "strings"

// The limits of what a log line has from the request's first line, in bytes. A path is
// cut at a segment that may be a token: the shortest JWT is longer than maxLogSegment.
const (
	maxLogMethod  = 32
	maxLogPath    = 256
	maxLogSegment = 64
	keptOfSegment = 8 // of a segment that is too long
)

// logPath returns a path for the log. A segment of more than maxLogSegment bytes, which
// may be a token, and a path of more than maxLogPath are cut.
func logPath(path string) string {
	if len(path) <= maxLogSegment {
		return path
	}
	rest, longest := path, 0
	for more := true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		longest = max(longest, len(segment))
	}
	if longest > maxLogSegment {
		segments := strings.Split(path, "/")
		for i, segment := range segments {
			if len(segment) > maxLogSegment {
				segments[i] = shorten(segment, keptOfSegment)
			}
		}
		path = strings.Join(segments, "/")
	}
	return shorten(path, maxLogPath)
}

// shorten returns text, cut if it has more than limit bytes.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// The lengths of the fields of traceparent: version, trace id, parent id and flags, each
// followed by a hyphen or the end.
const (
	traceIDAt      = len("00-")
	parentIDAt     = traceIDAt + 32 + len("-")
	flagsAt        = parentIDAt + 16 + len("-")
	traceparentLen = flagsAt + 2
)

// traceID returns the trace id in the header traceparent, as W3C Trace Context defines it,
// or nothing if the header is absent or invalid. A later version may have more fields.
func traceID(header []string) string {
	if len(header) != 1 || len(header[0]) < traceparentLen {
		return ""
	}
	h := header[0]
	version, trace, parent, flags := h[:2], h[traceIDAt:parentIDAt-1], h[parentIDAt:flagsAt-1], h[flagsAt:traceparentLen]
	switch {
	case h[traceIDAt-1] != '-' || h[parentIDAt-1] != '-' || h[flagsAt-1] != '-',
		version == "ff", version == "00" && len(h) > traceparentLen, len(h) > traceparentLen && h[traceparentLen] != '-',
		!isHex(version) || !isHex(trace) || !isHex(parent) || !isHex(flags),
		strings.Trim(trace, "0") == "", strings.Trim(parent, "0") == "":
		return ""
	}
	return trace
}

// isHex reports whether text has only lower-case hexadecimal digits.
func isHex(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
