package password_test

import (
	"context"
	"fmt"
	"log"

	"tokengate/session/fairqueue"
	"tokengate/session/password"
)

// A login compares what the user has typed with the stored hash, also without the white
// space around it. A program has one queue for all its hashing.
func ExampleNewHash() {
	ctx, queue := context.Background(), password.NewQueue(0, 0, nil)
	stored := password.NewHash("correct horse")
	hash, err := password.ParseHash(stored)
	if err != nil {
		log.Fatal(err)
	}
	for _, typed := range []string{"correct horse", "correct horse ", "Correct Horse"} {
		_, place, err := queue.Enter(ctx, fairqueue.Client{App: "shop", Network: "192.0.2.7"}, len(typed))
		if err != nil {
			log.Fatal(err) // too many logins have a place
		}
		// Here a login looks for its user.
		matched, err := place.Match(ctx, hash, typed, true)
		place.Leave()
		if err != nil {
			log.Fatal(err) // not a wrong password: the password was not compared
		}
		fmt.Printf("%q: %t\n", typed, matched)
	}
	// Output:
	// "correct horse": true
	// "correct horse ": true
	// "Correct Horse": false
}

// A hash that Django has made is replaced after a login, while the password is known.
func ExampleQueue_Rehash() {
	queue := password.NewQueue(0, 0, nil)
	const typed = "correct horse" // it has matched the stored hash
	stored, err := password.ParseHash("pbkdf2_sha256$1000$salt$boRToEKoQr22LeDTyHDsEkHpDsDOTyWJq16HknEiweU=")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.Kind(), "is outdated:", stored.Outdated(typed))

	encoded, err := queue.Rehash(context.Background(), stored, typed)
	if err != nil {
		log.Fatal(err) // logins needed the threads: the old hash stays until a later login
	}
	replaced, err := password.ParseHash(encoded)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(replaced.Kind(), "is outdated:", replaced.Outdated(typed))
	// Output:
	// pbkdf2 32 1000 is outdated: true
	// argon2id 19456 2 1 is outdated: false
}

// The error says what to change and does not repeat the password, so that it can be shown
// and logged.
func ExampleValidate() {
	for _, chosen := range []string{"correct horse", "horse", ""} {
		fmt.Println(password.Validate(chosen, 8))
	}
	// Output:
	// <nil>
	// the password is too short: give at least 8 characters
	// the password is empty: give at least 8 characters
}
