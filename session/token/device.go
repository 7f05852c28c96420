package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"tokengate/session"
)

// Device tokens are JWTs of their own type (RFC 8725 section 3.11), signed by HMAC with a
// key that is derived from a refresh key, so that no verifier of access tokens can make one.
const deviceType = "device+jwt"

// The private claims of a device token: the account, and the fingerprint of the credential.
const (
	accountClaim    = "acc"
	credentialClaim = "cred"
)

// maxDeviceToken is the maximum length of a device token in bytes. Longer ones are not read.
const maxDeviceToken = 1024

// addDevice adds the key of device tokens that belongs to a refresh secret.
func (r *refreshKeys) addDevice(app, kid string, secret []byte) error {
	key, err := hkdf.Key(sha256.New, secret, nil, "tokengate device token "+app, sha256.Size)
	if err != nil {
		return err
	}
	r.devices[kid] = key
	if r.deviceKID == "" {
		r.deviceKID = kid
	}
	return nil
}

// SignDevice implements [session.DeviceSigner].
func (s *Signer) SignDevice(d session.Device) (string, error) {
	t, err := jwt.NewBuilder().JwtID(d.ID).Audience([]string{s.app}).Expiration(d.Expires).Claim(accountClaim, d.Account).
		Claim(credentialClaim, base64.RawURLEncoding.EncodeToString(d.Credential[:])).Build()
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.TypeKey, deviceType), headers.Set(jws.KeyIDKey, s.refresh.deviceKID)); err != nil {
		return "", err
	}
	signed, err := jwt.Sign(t, jwt.WithKey(jwa.HS256(), s.refresh.devices[s.refresh.deviceKID], jws.WithProtectedHeaders(headers)))
	return string(signed), err
}

// VerifyDevice implements [session.DeviceSigner].
func (s *Signer) VerifyDevice(token string, now time.Time) (session.Device, error) {
	d, err := s.verifyDevice(token, now)
	if err != nil {
		return session.Device{}, session.Fail(session.TokenInvalid, err)
	}
	return d, nil
}

func (s *Signer) verifyDevice(token string, now time.Time) (d session.Device, err error) {
	if len(token) > maxDeviceToken {
		return d, errors.New("the device token is too long")
	}
	key, err := s.deviceKey(token)
	if err != nil {
		return d, err
	}
	t, err := jwt.ParseString(token, jwt.WithKey(jwa.HS256(), key), jwt.WithAudience(s.app), jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithClock(jwt.ClockFunc(func() time.Time { return now })))
	if err != nil {
		return d, err
	}
	d.ID, _ = t.JwtID()
	d.Expires, _ = t.Expiration()
	var credential string
	if err := errors.Join(t.Get(accountClaim, &d.Account), t.Get(credentialClaim, &credential)); err != nil {
		return d, err
	}
	fingerprint, err := base64.RawURLEncoding.DecodeString(credential)
	if err != nil || len(fingerprint) != len(d.Credential) {
		return d, errors.New("the device token has no fingerprint of a known form")
	}
	copy(d.Credential[:], fingerprint)
	return d, nil
}

// deviceKey returns the key of a device token, which its header names.
func (s *Signer) deviceKey(token string) ([]byte, error) {
	message, err := jws.ParseString(token)
	if err != nil || len(message.Signatures()) != 1 {
		return nil, errors.New("the device token is malformed")
	}
	headers := message.Signatures()[0].ProtectedHeaders()
	kid, _ := headers.KeyID()
	typ, _ := headers.Type()
	if key := s.refresh.devices[kid]; key != nil && typ == deviceType {
		return key, nil
	}
	return nil, errors.New("the device token is not from one of the app's refresh keys")
}
