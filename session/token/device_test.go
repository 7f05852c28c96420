package token

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

var testDevice = session.Device{
	ID: "gWYRBc8Ic9vLgQnXShg-7A", Account: "0123456789abcdef0123", Credential: session.Fingerprint{1, 2, 3, 4},
	Expires: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC),
}

// deviceTokenOf returns the token of testDevice.
func deviceTokenOf(t *testing.T, s *Signer) string {
	t.Helper()
	token, err := s.SignDevice(testDevice)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestDeviceToken checks what a device token carries, that it is valid until it expires, and
// that it is neither an access token nor a refresh token.
func TestDeviceToken(t *testing.T) {
	s := newSigner(t, Options{App: "shop", SigningKey: secret})
	token := deviceTokenOf(t, s)
	before := testDevice.Expires.Add(-time.Second)
	d, err := s.VerifyDevice(token, before)
	if expires := d.Expires; err != nil || !expires.Equal(testDevice.Expires) {
		t.Fatalf("got %+v, %v, want %+v", d, err, testDevice)
	}
	if d.Expires = testDevice.Expires; d != testDevice {
		t.Errorf("got %+v, want %+v", d, testDevice)
	}
	if _, err := s.VerifyDevice(token, testDevice.Expires); session.CodeOf(err) != session.TokenInvalid {
		t.Errorf("after its expiry: got %v, want %s", err, session.TokenInvalid)
	}
	for _, kind := range []session.Kind{session.KindAccess, session.KindRefresh} {
		if _, err := s.Verify(token, kind, at(before)); err == nil {
			t.Errorf("it is accepted as the %s token", kind)
		}
	}
}

// TestForeignDeviceToken checks that a device token is accepted only with a signature by a
// refresh key of its app, and only of its own type.
func TestForeignDeviceToken(t *testing.T) {
	s := newSigner(t, Options{App: "shop", SigningKey: secret})
	now := testDevice.Expires.Add(-time.Hour)
	token := deviceTokenOf(t, s)
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	plain := decode(t, header)
	for name, foreign := range map[string]string{
		"empty": "", "text": "x", "two parts": header + "." + claims, "long": token + strings.Repeat("A", maxDeviceToken),
		"of another app":   deviceTokenOf(t, newSigner(t, Options{App: "other", SigningKey: secret})),
		"of another key":   deviceTokenOf(t, newSigner(t, Options{App: "shop", SigningKey: secret + secret})),
		"no signature":     encode(strings.Replace(plain, "HS256", "none", 1)) + "." + claims + ".",
		"other type":       encode(strings.Replace(plain, deviceType, "JWT", 1)) + "." + claims + "." + signature,
		"other claims":     header + "." + encode(`{"jti":"x","aud":"shop","exp":4102444800,"acc":"y","cred":"AQIDBA"}`) + "." + signature,
		"a refresh token":  mustSign(t, s, refreshClaims()),
		"an access token":  mustSign(t, s, accessClaims()),
		"other characters": header + "." + claims + ".\x00" + signature,
	} {
		if d, err := s.VerifyDevice(foreign, now); session.CodeOf(err) != session.TokenInvalid {
			t.Errorf("%s: got %+v, %v, want %s", name, d, err, session.TokenInvalid)
		}
	}
}

// TestDeviceTokenSurvivesKeyChange checks that a device token stays valid while the refresh
// key that signed it is accepted, and no longer.
func TestDeviceTokenSurvivesKeyChange(t *testing.T) {
	first, second := "refresh-key-1-"+secret, "refresh-key-2-"+secret
	with := func(keys ...string) *Signer {
		return newSigner(t, Options{App: "shop", SigningKey: secret, RefreshKeys: keys})
	}
	now := testDevice.Expires.Add(-time.Hour)
	token := deviceTokenOf(t, with(first))
	if _, err := with(second, first).VerifyDevice(token, now); err != nil {
		t.Errorf("with the key as the second one: got %v", err)
	}
	if _, err := with(second).VerifyDevice(token, now); err == nil {
		t.Error("it is valid without its key")
	}
	if _, err := with(first, second).VerifyDevice(deviceTokenOf(t, with(second, first)), now); err != nil {
		t.Errorf("before the new key signs on every instance: got %v", err)
	}
}
