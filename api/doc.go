// Package api is the gateway's HTTP face: it turns requests into steps of the
// engine and what they come to into answers. It decides nothing about sessions.
//
// Two handlers: Server.Public for apps and their users, Server.Admin for
// operators and their machines, which main puts on a listener of its own. The
// two route tables in api.go are all that is served.
//
// The words: an exchange is one request with its answer and all that log and
// metrics will say of it. An endpoint is the name of a route. A code is the
// engine's word for how a step came out, or one of this package's own for what
// is refused before there is a step; the table in errors.go turns every code
// into a status and a body. The same word labels the metric and the log line
// and, where the seed has no word of its own, is the body's "code".
//
// What it promises:
//
//   - The six endpoints under /api/session/ answer as the seed does, byte for
//     byte in the members that the seed has. What differs does so on purpose:
//     always JSON, a "code" in every refusal, a "cause" where a session has
//     ended, 503 where the gateway cannot tell.
//   - The order of checks is the seed's: who asks (401), how (405), in which
//     media type (415), with what body and fields (400).
//   - A handler reads at most 64 KiB, never recurses into what it reads, and
//     never panics on it; a panic elsewhere is one 500 and one log line.
//   - Nothing that a client sends, except a request id of harmless characters
//     and what a trusted proxy says of its address, is believed or logged. No
//     token, password or secret is ever in a log line, a metric or an error.
//   - Every answer has an X-Request-Id, every request one log line, and every
//     login, refusal, replay, eviction and ending one more (see Observer).
//
// How it fails: an error without a code is a defect; the client gets a 500
// without details, the log gets them. A store that cannot answer is a 503 with
// Retry-After, which a client may repeat by the rules of session.Store.
package api
