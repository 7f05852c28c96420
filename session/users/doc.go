// Package users checks a username and password against an app's user source, and later
// whether the user may still hold sessions. Each source implements [session.Checker].
// [Open] opens the one that the setting USERS names:
//
//	file:users.json   a JSON array of users, read again when it changes
//	redis:            users that the gateway keeps next to its sessions
//	https://…/verify  another program, which receives a POST for each login
//	postgres://…      a table, by default that of Django's own users
//
// [Static] is a source of users that are part of the program. [Import] reads users
// for redis: from a user file or a Django dump.
//
// # Opening
//
// Open reads a user file at once and fails if that is not possible. It does not
// connect to other programs, so a gateway starts without them; [Source.Ping] checks
// whether they can be reached.
//
// # Login
//
// Unknown user, wrong password, inactive user and unusable password result in the same
// error, [session.InvalidCredentials], after the same work: if there is no hash, the
// password is compared with a dummy hash. A program behind http(s) compares passwords
// itself, so there the time of a refusal depends on that program.
//
// Hashing waits in a queue. A login that has waited too long fails with [session.Busy].
// Package password documents how passwords are compared, what the time of a refusal
// still reveals, and the queue.
//
// # Recheck
//
// A recheck asks whether a user may still hold sessions. A user file is checked for
// changes at each recheck, at most once a second. For redis: the store checks the user
// within its own steps. An http(s) source can't be asked without a password, so its
// users keep their sessions. A postgres source is queried; its answers, whether positive
// or negative, are relied on for the time set by RECHECK_USER ([DefaultRecheck] by
// default), and so is a login that found the user active. RECHECK_USER=off turns rechecks
// off for every source. Rechecks hash nothing and never wait for logins.
//
// # Failure
//
// If a source can't answer, the error is [session.Unavailable], never a refusal. For
// rechecks in PostgreSQL, a circuit breaker then opens: one recheck a second is sent to
// the database, and the others fail at once. If a user file is invalid or missing, this
// is logged, and its last valid content stays in use. No password, hash or secret part
// of a source's address appears in an error or a log line.
//
// # Claims
//
// A source may return claims for a user's access tokens: a JSON object of at most
// [session.MaxClaims] bytes without white space; see [CompactClaims]. User files and
// imports with other claims are rejected. If http(s) or postgres return such claims, the
// login fails with [session.Unavailable].
package users
