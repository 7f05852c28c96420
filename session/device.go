package session

import "time"

// DeviceSigner signs and verifies the tokens of the known devices of one app. It must be safe
// for concurrent use.
type DeviceSigner interface {
	// SignDevice returns the token of a device.
	SignDevice(d Device) (string, error)

	// VerifyDevice checks a token at a time. It fails with TokenInvalid, also for a token that
	// has expired or is of another app.
	VerifyDevice(token string, now time.Time) (Device, error)
}

// Device is a device from which a user has logged in before. The client keeps its token
// and sends it with a later login.
type Device struct {
	ID         string      // 22 characters, as in [ID]; kept when the token is renewed
	Account    string      // Attempt.Account of the login
	Credential Fingerprint // of the user at the login; zero means not known
	Expires    time.Time   // whole seconds
}

// DeviceLifetime is how long a device is known after the last login from it.
const DeviceLifetime = 400 * 24 * time.Hour
