// Package password stores and compares passwords: it reads the hash formats of
// other programs, makes new hashes, chooses dummy hashes for logins that have no
// hash to compare with, and bounds how much hashing runs at once.
//
// # Formats
//
// [ParseHash] reads these stored hashes:
//
//   - Django's pbkdf2_sha256, pbkdf2_sha1, argon2, bcrypt_sha256, bcrypt and scrypt
//   - PHC strings of argon2id and argon2i, version 19
//   - bcrypt in the format of crypt(3): $2a$, $2b$ and $2y$
//
// A text that begins with "!" marks an unusable password, as in Django: no password
// matches it. The parameters in a stored hash are bounded to 256 MiB of memory and about a
// second of one core, so that no entry can stall the process or exhaust its memory. That
// allows 4,000,000 iterations of pbkdf2, a bcrypt cost of 14, 64 threads of argon2 and
// 1 GiB written in all its passes, and 256 MiB written in all passes of scrypt. A hash has
// at most 1024 characters, and its digest at least 16 bytes.
//
// [NewHash] makes new hashes: argon2id. [Validate] rejects new passwords that are too
// short, or that no login can have. No error of this package repeats a password or any
// text of a hash.
//
// # Comparison
//
// A password is compared as it was sent. If that fails and the password has
// white space around it, the trimmed password is compared as well: the Django app
// always trimmed, so its users may be used to typing a trailing space that never
// mattered. White space is what Python's str.strip removes. The second comparison
// costs a second hash, which reveals only what the client itself sent. See [Forms].
//
// # Dummy hashes
//
// An unknown user, a wrong password, an inactive user and an unusable password are
// refused after the same work. Where there is no hash to compare with, the password
// is compared with a dummy hash, and the result is discarded. A dummy hash is like
// the hashes of the user source's own users. If a source has hashes of several
// kinds (algorithm and parameters, [Hash.Kind]), which take different times, a
// keyed hash of the username selects the kind. All instances have the key, and no
// one else does. So an unknown username behaves like that of a user: at every login and
// on every instance, the time of its refusals shows the same kind. Once the kinds are
// known, no login changes this, whether the login succeeds or fails.
//
// The kinds in a user file are known when the file is read, and each is chosen in
// proportion to the number of users that have it. For redis: and postgres: the kinds of
// those users are known whose names have been used to log in, and each of these kinds is
// chosen equally often. See [DummyHashes].
//
// The time of a refusal still reveals the following:
//
//   - An instance with redis: or postgres: that has just started knows no kind, and
//     all names without a hash show the kind that is usual there: that of [Argon2Dummy]
//     or [DjangoDummy]. A kind becomes known with the first login, successful or not,
//     of any user with that kind. Until then, its time distinguishes such a user from
//     unknown names. At that moment, the kind of some unknown names changes, and until
//     all instances know the kind, they differ in the kind of these names. Both show
//     that the names are unknown. The same applies to a kind that no user has any more:
//     it is forgotten at the next start.
//   - Because these kinds are chosen equally often, a name that shows a kind which most
//     users have is more likely to be a user's, and a name that shows a rare kind is
//     more likely to be unknown. The probability that a name is a user's rises by at
//     most a factor of the number of kinds, and repeated requests reveal nothing more.
//     Exact proportions would have to follow the logins, and each correction would
//     reveal more unknown names.
//   - A change of the user file, or of the signing key, from which the key of the dummy
//     hashes is derived, changes the kind of some unknown names, once.
//   - The kind of a user of redis: changes when their outdated hash is replaced after a
//     login. The kind of an unknown name does not change then.
//   - At most 64 kinds of a source are used as dummy hashes.
//
// # Hash queue
//
// A hash is slow on purpose, and a client can request a login at no cost. Hashing
// therefore runs in a [Queue], one per process: a few hashes at a time, in turns that are
// fair between apps and between the networks of their clients. The number and the bytes of
// the logins in it are bounded. A login enters it before its user is looked for, so that the
// bounds apply to the user source as well. It fails with [session.Busy] if the queue is full
// or it has waited too long. See package fairqueue.
//
// # Worker process
//
// A [Worker] is a second process of the same program that computes the hashes at a
// lower CPU priority, so that hashing delays no other request. If it can't be started
// or exits, passwords are compared in this process. If it does not answer in time, logins
// fail with [session.Unavailable].
//
// # Outdated hashes
//
// A hash that costs an attacker less than a new one can be replaced only while the
// password is known, which is at a login. [Hash.Outdated] reports whether it should be,
// and [Queue.Rehash] makes the new hash, of the form of the password that matched. It uses
// only threads of the queue that no login waits for. If there are none, or if the worker
// fails, the old hash stays until a later login.
package password
