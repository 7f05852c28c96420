package token_test

import (
	"fmt"
	"log"
	"time"

	"tokengate/session"
	"tokengate/session/token"
)

// Programs that verify access tokens need the public keys only. The key is that of RFC 8037
// appendix A, where its thumbprint, the kid, is given as well.
func ExampleSigner_JWKS() {
	signer, err := token.New(token.Options{App: "shop", Algorithm: "EdDSA", SigningKey: `{
		"kty": "OKP", "crv": "Ed25519",
		"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
		"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	}`})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", signer.JWKS())
	// Output:
	// {"keys":[{"alg":"EdDSA","crv":"Ed25519","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","kty":"OKP","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
}

// A new signing key logs no user out if the old one becomes a verifying key: the tokens
// of the old key stay valid.
func ExampleNew_rotation() {
	const oldKey, newKey = "the old key has at least 32 bytes", "the new key has at least 32 bytes"
	signer := func(o token.Options) *token.Signer {
		s, err := token.New(o)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	refresh, err := signer(token.Options{App: "shop", SigningKey: oldKey}).Sign(session.Claims{
		Kind: session.KindRefresh, User: session.NumberID(42), Session: session.NewID().WithType(session.Long), Type: session.Long,
		Generation: 1, Secret: session.NewSecret(), Issued: now, Expires: now.Add(24 * time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = signer(token.Options{App: "shop", SigningKey: newKey, VerifyingKeys: oldKey}).
		Verify(refresh, session.KindRefresh, stoppedClock(now))
	fmt.Println("with the old key:", session.CodeOf(err))
	_, err = signer(token.Options{App: "shop", SigningKey: newKey}).
		Verify(refresh, session.KindRefresh, stoppedClock(now))
	fmt.Println("without the old key:", session.CodeOf(err))
	// Output:
	// with the old key: ok
	// without the old key: token_invalid
}
