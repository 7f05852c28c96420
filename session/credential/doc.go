// Package credential checks a user's name and password against an app's user
// source, and asks later whether the user still may hold sessions. Each source
// is a session.Checker; Open makes the one that a setting names:
//
//	file:users.json   a JSON array of users, read again when it changes
//	redis:            users that the gateway keeps beside its sessions
//	https://…/verify  another program is asked, by POST, for each login
//	postgres://…      a table, by default that of Django's own users
//
// # Passwords
//
// Stored passwords are Django's pbkdf2_sha256, pbkdf2_sha1, argon2,
// bcrypt_sha256, bcrypt and scrypt, PHC strings of argon2id and argon2i, and
// bcrypt as crypt(3) writes it. The parameters in a stored hash are bounded (256
// MiB of memory; some seconds of time), so that no entry can stop the process.
// Hash makes new ones: argon2id.
//
// A password is compared as it was sent. If that fails and it has white space
// around it, it is compared once more without: the seed always trimmed, so its
// users may be used to a trailing space that never mattered. White space is
// what Python's str.strip removes. The second try costs a second hash, which
// tells an observer only what he sent himself.
//
// # What a refusal tells
//
// Unknown user, wrong password, inactive user and unusable password are the
// same InvalidCredentials, after the same work: where there is no hash to work
// on, one like some user's of the source is worked on and the outcome thrown
// away. Where a source has hashes of several kinds, which take different times,
// the name decides on the kind, by a key that all instances have and nobody
// else. So a name that nobody has shows one kind, as a user's does, on every
// instance, and once the kinds are known no login changes it, right or wrong.
// Those in a user file are known when it is read, and are shown as often as its
// users have them. Of redis: and postgres: the kinds of those users are known who
// have been asked for, and each is shown as often as any other.
//
// This much the time still tells:
//
//   - An instance of redis: or postgres: that has just started knows no kind,
//     and then all such names show what is usual there. A kind becomes known with
//     the first login, right or wrong, of any user who has it. Until then such a
//     user can be told by it, and when it comes, the names that change are names
//     that nobody has; so are those on which two instances differ. The same goes
//     for a kind that nobody has any more: it is forgotten with the next start.
//   - Shown equally often, a kind that most users have is the more likely to be a
//     user's, and a rare one a name's that nobody has. No time makes a name more
//     likely to be a user's by a factor above the number of kinds; asking more
//     often adds nothing. Exact shares would have to follow what users do, and
//     each correction would tell of more names.
//   - A user file that changes, and another signing key, of which the key is
//     made, change the kind of some names that nobody has, once.
//   - Beyond 64 kinds of a source no more are shown.
//
// # The lane
//
// A hash is meant to be slow, and a login is free to ask for. Hashing therefore
// runs in a Lane, one per process: a few at a time, in order of arrival, and a
// login that has waited too long is told Busy. Rechecks don't hash and never
// wait for logins.
//
// # Failure
//
// A source that can't answer is session.Unavailable, never a refusal. PostgreSQL
// is then asked one recheck a second, and the others fail at once. A user file
// that is broken or gone is reported to the log and its last good content stays
// in force. No password, hash, or secret part of a source's address is ever part
// of an error or a log line.
package credential
