package api

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// maxRequestID is the maximum length of an X-Request-Id from a client, in bytes.
const maxRequestID = 128

// requestID returns the id that the client sent if it is harmless in a log and a
// header, else a new one. The signs are those of the ids that proxies make.
func requestID(sent string) string {
	if sent == "" || len(sent) > maxRequestID {
		return newRequestID()
	}
	for i := range len(sent) {
		if c := sent[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._=:/+;@|~", c) < 0 {
			return newRequestID()
		}
	}
	return sent
}

// newRequestID returns 128 random bits. The id only distinguishes requests and is
// not secret, so math/rand, which makes no system call, is good enough.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
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
