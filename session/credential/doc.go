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
// on, one with the parameters of some other user of the source is worked on and
// the outcome thrown away. Which user's is a matter of the name asked for, so a
// source with several kinds of hashes shows the same mixture, each name always
// the same kind, for names that exist and for names that don't.
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
