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
// for redis: from a user file or a Django dump. It imports users whose hashes are too weak
// without a usable password, while a user file with such a hash is rejected.
//
// JSON of any source is read strictly: the names of members are exact, and a member that
// has a meaning may occur once only. Members of a user file without a meaning are logged.
//
// # Opening
//
// Open reads a user file at once and fails if that is not possible. It does not
// connect to other programs, so a gateway starts without them; [Source.Ping] checks
// whether they can be reached.
//
// Passwords and certificates in files that a postgres address names are read again for
// each new connection. Queries are not prepared, unless the address has
// default_query_exec_mode, so that they work through a pooler such as PgBouncer.
//
// # Login
//
// Unknown user, wrong password, inactive user and unusable password result in the same
// error, [session.InvalidCredentials], after the same work: if there is no hash, the
// password is compared with a dummy hash. A program behind http(s) compares passwords
// itself, so there the time of a refusal depends on that program.
//
// Hashing waits in a queue, which is fair between apps and networks. A login enters it before
// its user is looked for, and fails with [session.Busy] if the queue is full or it has waited
// too long. So at most [fairqueue.DefaultPlaces] logins of all apps are held while a source is
// slow. Those of a postgres source wait for one of the few connections of its pool, for
// Options.Timeout at most; one that loses its place to a login of another app or network
// stops waiting. Package password documents how passwords are compared, what the time of a
// refusal still reveals, and the queue. For http(s) each source has such a queue of its own:
// it asks the other program about 64 logins at once, and further ones wait for 2 seconds at
// most. A username of more than 1024 bytes is refused without asking the source. If an http(s) source answers 429, the login fails with
// [session.Throttled] and the time in Retry-After, at most 24 hours.
//
// For redis:, an outdated hash is replaced by a new one of the same password once the
// login has created its session. Other sources are only read.
//
// # Recheck
//
// A recheck asks whether a user may still hold sessions. A user file is checked for
// changes at each recheck, at most once a second. For redis: the store checks the user
// within its own steps. An http(s) source can't be asked without a password, so its
// users keep their sessions. A postgres source is queried; its answers, whether positive
// or negative, are relied on for the time set by RECHECK_USER ([DefaultRecheck] by
// default), and so is a login that found the user active. A fresh recheck checks the file
// or queries the table without regard to these times. RECHECK_USER=off turns rechecks
// off for every source. Rechecks hash nothing and never wait for logins.
//
// A source without any users can't be distinguished from one whose data is lost. A recheck
// then fails with [session.Unavailable] instead of [session.UserUnknown], which would end
// the sessions. For postgres:, the table is checked before a user counts as unknown.
//
// # Credentials
//
// With SESSION_ENDS_ON_PASSWORD_CHANGE, file: and postgres: return the fingerprint of the
// stored hash ([session.NewFingerprint]) at logins and rechecks. A hash that another
// program replaced by one of the same password is another credential too. For redis: it is
// the fingerprint that the directory keeps, which a new hash of the same password does not
// change. An http(s) source may name a credential in its response, as a string or a number
// that changes with the password, such as a counter.
//
// [session.Status].Changed is a while after this instance first saw the present credential
// in place of another one: for file:, a second after it has read the file; for postgres:,
// the time for which answers are relied on after a login or a recheck has returned it. Until
// then another instance may still rely on the former credential. The credential of a removed user is remembered while
// the process runs, because their id may be given to another person. At most 200,000
// removed users of a file and 100,000 users of a table are remembered; those seen least
// recently are forgotten first.
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
// login or the recheck fails with [session.Unavailable].
//
// A recheck returns the present claims for file: and, if its query has a column for them,
// for postgres:.
package users
