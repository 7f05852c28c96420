// Package session is the engine of tokengate. It checks users' credentials,
// creates, refreshes, lists and revokes sessions, and issues and verifies
// tokens.
//
// [Engine] has one method for each step. It reaches everything outside the
// package through an interface: [Store] keeps the sessions, [Signer] signs and
// verifies tokens, [Checker] checks users, [Directory] keeps users, [Limiter]
// counts failed logins, [Feed] brings the revocations of other instances, and
// [Observer] receives events.
// The package uses the standard library only, and depends on neither HTTP nor
// Redis. No decision about a session depends on an Engine's memory, so any
// number of Engines may share one Store.
//
// # Glossary
//
// The project uses one word for each idea, in code, log lines and documents.
//
// Apps and users:
//
//   - App: one application that the gateway fronts, with secrets, keys, a user
//     source and policies of its own ([App]).
//   - User: an ID that the app's user source returns; unique within the app
//     ([UserID]).
//   - Owner: one user of one app. Each session has one owner ([Owner]).
//   - User source: where an app's users and their passwords are: a user file,
//     the directory, an HTTP service or a PostgreSQL table ([Checker]; see
//     package users).
//   - Directory: the users that are kept in Redis beside the sessions, for apps
//     without a user source elsewhere ([Directory]). One of its users is an
//     [Account].
//   - Username reservation: the record in Redis that gives a username to one
//     account only.
//   - Cached status: what an instance last learned from the user source about a user:
//     whether they are active, their credential and their claims. It is kept for a
//     while, so that a refresh need not query the source.
//   - Circuit breaker: the limit on queries to a user source that does not
//     answer.
//   - Dummy hash: the hash that a password is compared with where there is no
//     user or no usable hash, so that the time of a failed login does not show
//     which usernames exist (see package password).
//   - Hash queue: the queue that bounds how many passwords are hashed at a time,
//     so that many logins do not slow down refreshes (see package password). Its turns
//     are fair (see package fairqueue).
//   - The Django app: simplejwt_multisessions, which the gateway replaces. The
//     gateway has the same endpoints, settings and token claims.
//
// Failed logins:
//
//   - Attempt: one login, as it is counted before its password is compared ([Attempt]).
//   - Account key: what stands for a username in a Limiter and in logs, whether or not a
//     user has it ([App].AccountKey). An account of a Limiter is one of these.
//   - Network: an IPv4 address, or an IPv6 /64, from which a client sends.
//   - Known device: one from which the user has logged in before, as its device token
//     shows ([Device]).
//   - Limiter: counts attempts for all instances ([Limiter]).
//   - Budget: the attempts that are left of one account, known device or network. A
//     login reserves an attempt of each budget that it belongs to. A release gives it
//     back, when no password was compared. A success gives it back to the network, and
//     ends the row.
//   - Row: the failed logins of an account or a known device since its last success
//     ([Failures]).
//   - Refusal: a login that a limit did not allow. It is throttled.
//
// Processes:
//
//   - Instance: one process of the gateway, with one Engine. All instances share
//     one Redis.
//   - Step: one operation, such as a login: a method of the Engine, and the atomic
//     method of the Store that it calls.
//   - Arrival: when the request that a step belongs to was read ([Arrival]).
//   - Latest start: the time of the store after which a step of a request does nothing.
//   - Pause: a time in which the process did not run ([PauseDetector]).
//
// Sessions:
//
//   - Session: one login of one user on one device ([Session]).
//   - Session type: LONG or SHORT. It selects a session's policy and has no
//     further meaning ([Type]).
//   - Policy: what an app allows the sessions of one type: lifetimes, rotation,
//     extension, and how many there may be ([Policy]).
//   - Secret: 64 random bits of a session that its refresh tokens carry in masked form
//     ([Secret]).
//   - Credential: what a user logs in with, such as a password. Its fingerprint in the
//     session shows whether it has changed since ([Fingerprint]).
//   - Generation: a counter in the session. A refresh token carries the
//     generation that it was issued for. The token of the session's own
//     generation is the current one; a token of a lower generation is spent.
//   - Retry window: how long the token that was spent last is still answered
//     with its successor.
//   - Repeat: a refresh with the token that was spent last, within the retry window
//     ([Repeats]).
//   - Replay: the use of a spent token outside the retry window.
//   - Heal: to continue from a token whose generation is above the session's,
//     because the store has lost a step in a failover.
//   - Live: neither revoked nor expired. A session that is no longer live has
//     ended.
//   - Expire: to end by time, at the session's expiry or at its absolute expiry,
//     which nothing extends.
//
// Revocations:
//
//   - Revoke: to end a session by an act, such as a logout or a login that needs
//     its place. The result is a revocation, and the reason is its cause
//     ([Cause]).
//   - Evict: to revoke a session in favor of a new login of the same user.
//   - Tombstone: the record that says when and why a session was revoked, and by
//     whom ([Tombstone]). A Store keeps up to 32 of each owner, for seven days.
//   - Not-before: the moment before which all sessions of an app are revoked
//     ([Store.RevokeApp]).
//   - Revocation outbox: the stream in Redis that gets every revocation, in the
//     same atomic step as the revocation itself.
//   - Revocation feed: the delivery of the revocations of all instances to each
//     one ([Feed]).
//   - Revocation list: the revoked sessions whose access tokens may not have
//     expired yet, in the memory of an instance ([RevocationList]).
//   - Retention: how long the outbox and the list keep a revocation, which is at
//     least the longest lifetime of an access token.
//   - Poll interval: how often an instance reads the outboxes.
//
// # Promises
//
// Each of these has a test that can fail.
//
//   - Each step on a user's sessions is atomic. Two logins never both take the
//     last place that the policy allows, two refreshes never both spend one
//     token, and no refresh brings back a session that a logout revoked.
//   - A user never holds more sessions of a type than the policy's maximum.
//   - A retry with the refresh token that was spent last returns the same
//     successor within the policy's retry window, up to [MaxRepeats] times. After the
//     window, or with an older token, it is a replay and revokes the session.
//   - Every end of a session is explained by one cause out of a fixed list
//     ([Causes]).
//   - If a store or a user source cannot answer, the code is [Unavailable]. It
//     never means "no such session" or "no such user".
//   - No more passwords of an account are compared than its limit of failures allows,
//     whichever instances the guesses reach. No failure elsewhere keeps a known device out.
//   - A login takes two steps of the Limiter and two of the Store, the first of which
//     changes nothing. A refresh, list, destroy or logout takes one step of the Store. A refresh
//     takes up to three if the user seems to be gone or to have another credential, and a
//     list takes one for each page if there are many sessions. The verification of an
//     access token takes none while the revocation list is fresh, unless the credential
//     has changed since the token was issued, the store's clock was set back, or many
//     sessions of the user were revoked at once.
//   - A step that begins more than [StepDelay] after its request was read, or after a pause
//     of the process, changes nothing ([Arrival]).
//
// # The states of a session
//
// g is the generation in the session's record, p the one in the refresh token
// that is presented.
//
//	    Create
//	      │
//	      ▼
//	┌─► live(g) ── Refresh ────────────────────────────────────┐
//	│     │ │      p = g, a rotation or extension is due,      │
//	│     │ │             or the policy shortens it      → g+1 │
//	│     │ │      p = g, nothing is due                 → g   │
//	│     │ │      p = g-1, within the retry window      → g   │
//	│     │ │      p > g, the store has lost a step      → p,  │
//	│     │ │             and then as for p = g                │
//	└─────┼─┼──────────────────────────────────────────────────┘
//	      │ │
//	      │ └── by time ──► expired, causes: expired, absolute
//	      │
//	      └── by an act ──► revoked, causes:
//	                        replay (p < g otherwise), type_mismatch,
//	                        logout, user, others, evicted, operator,
//	                        account, app
//
// With reuse detection switched off, a replay is only rejected, and the session
// stays live.
//
// # Why it works this way
//
// A refresh token is computed from the session's record and never stored. The
// same record always results in the same token, so a retry gets it again
// although no copy was kept. A token needs both a key that only the gateway has and
// the secret in the session's record, so neither an app's key nor the store's
// content is enough to make one.
//
// At most one spent generation is accepted, and only until its successor is used,
// because it is then two generations behind. So a lost response costs the client
// nothing, and a stolen copy of a token is detected when the second of the two
// holders presents theirs.
//
// A refresh token of the wrong session type revokes the session, because the
// Django app documents that.
//
// A key's time to live in Redis only frees memory. Steps compare times, and all
// of them come from one clock, the store's. The gateway's own tokens are checked with
// it as well: an instance learns from each reply how far the store's clock is ahead
// of its own. Its own clock decides only whether the tokens of other programs are
// valid, whether a device token has expired, and whether its revocation list is fresh. An access token is issued at the
// earlier of the two clocks and expires by the later one, so that other verifiers
// accept it whichever of the clocks they agree with. The price is that a token lives
// longer by the difference.
//
// A policy applies to live sessions from the next step on if it is tighter than the
// one of their login, and never lengthens them. Only a refresh writes the shorter
// expiry. Access tokens that were issued before keep theirs.
//
// A session remembers a fingerprint of its user's credential, such as the stored
// hash of the password. If the credential has changed, or the user was disabled or
// removed, the next refresh ends the session for good: it must not be live again when
// the user is enabled again, or when another person gets the same ID. Since an answer
// of the user source may come from a cache, it is asked again before a session ends.
//
// A generation above the record's is not a forgery, because the token's signature
// and secret are valid. It means that the store has lost an acknowledged step in a
// failover. The record then catches up. The alternative would be to log out every user
// who was active in that second.
//
// An access token is not checked against the store at each request, because its
// verification is part of every request to an app. The revocation list answers
// from memory instead. The price is that a revocation by another instance takes
// effect a little later: at once if the message about it arrives, otherwise after
// the next poll, and at the latest when the list's bound has passed. A list that
// was last complete longer ago than the bound is not fresh, and then the store is
// queried: doubt never counts as "not revoked".
package session
