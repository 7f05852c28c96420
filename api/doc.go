// Package api is the HTTP layer of the gateway. It decodes requests, calls the
// steps of [session.Engine] and encodes the results. It makes no decisions about
// sessions.
//
// A [Server] has two handlers: [Server.Public] for apps and their users, and
// [Server.Admin] for operators and their machines, which main serves on a
// listener of its own (package listen). The two route tables in api.go list
// everything that is served. The package also has what main needs around the
// handlers: [NewLogger], [LogBuffer], [Metrics], [SettingsMetrics] and [Observer]
// report what they do.
//
// # Terms
//
// An exchange is one request with its answer, and what the log and the metrics
// report about it. An endpoint is the name of a route. A code is the result of
// a step as the engine names it, or one of this package's own codes for a request
// that was rejected before any step. The table in errors.go maps every code to
// a status and a body. The code is also the label of the metric and the field of
// the log line and, unless the Django app has a code of its own, the member
// "code" of the body.
//
// # Guarantees
//
//   - The six endpoints under /api/session/ answer as the Django app does, byte
//     for byte in the members that the Django app has. The differences are
//     deliberate: answers are always JSON, every error has a "code", an error
//     about a revoked or expired session has a "cause", and the status is 503
//     where the gateway cannot determine the answer.
//   - The order of checks is that of the Django app: the caller (401), the method
//     (405), the media type (415), the body and its fields (400).
//   - A handler reads at most 64 KiB, does not recurse over what it reads, and
//     does not panic on it. A panic elsewhere results in one 500 and one log line.
//   - Nothing that a client sends is trusted, except the client's address from a
//     trusted proxy. A log line has the method, the path without query and without
//     segments that may be tokens, a request id of harmless characters and a valid
//     trace id. No log line, metric or error contains a token, password or secret.
//   - Every answer has an X-Request-Id. Every request has one log line, and every
//     login, refusal, replay, eviction and revocation has another (see [Observer]).
//
// # Errors
//
// An error without a code is a defect: the client gets a 500 without details,
// and the log has the details. If the store cannot answer, the client gets a 503
// with Retry-After and may retry; [session.Store] documents what a retry does.
package api
