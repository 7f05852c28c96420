package session

import "time"

// Device is a device from which a user has logged in before. The client keeps its token,
// which a [Signer] signs, and sends it with a later login.
type Device struct {
	ID         string      // 22 characters, as in [ID]; kept when the token is renewed
	Account    string      // Attempt.Account of the login
	Credential Fingerprint // of the user at the login; zero means not known
	Expires    time.Time   // whole seconds
}

// DeviceLifetime is how long a device is known after the last login from it.
const DeviceLifetime = 400 * 24 * time.Hour
