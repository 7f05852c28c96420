// Package contract plays recorded HTTP exchanges against a running gateway and
// reports where its answers differ. The recordings, made on the Django app
// (simplejwt_multisessions), are in api/testdata/contract with a description of
// their format.
//
// [Load] reads the recordings, [Play] plays one of them, and [Differences] lists
// the answers that differ on purpose. The package does not start processes. The
// caller provides a [Start] function.
//
// # Comparison
//
// A step of class "contract" has to get the recorded answer. A step of class
// "quirk" records a defect of the Django app: the gateway has to give one of
// the step's ideal answers. A quirk without ideal answers accepts any answer. These
// additions of the gateway are allowed everywhere:
//
//   - the members code, cause, messages and ticket in the body of an error;
//   - a WWW-Authenticate header on a 401;
//   - kid in a token's header, and sid, gen, sub, iss, aud, client_id,
//     auth_time and type in its claims;
//   - a jti of any 16 to 64 characters, as long as no earlier token had it, also
//     where the Django app keeps the old one;
//   - any precision of last_update, within a second.
//
// The Vary header, Allow on anything but a 405, and a step's own quirk_paths
// are not compared.
//
// # Values
//
// Values are compared as in Python, because Python clients read the answers: 1
// and 1.0 are different. The order of an object's members does not matter. JSON
// strings may contain lone surrogates, which Go strings cannot; see json.go.
package contract
