package users

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/password"
)

// quickHash returns a hash of password that is fast to compare with.
func quickHash(t testing.TB, password string) string {
	t.Helper()
	data, err := os.ReadFile("../password/testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Password, Hash string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if v.Password == password && strings.HasPrefix(v.Hash, "pbkdf2_sha256$1000$") {
			return v.Hash
		}
	}
	t.Fatalf("testdata has no pbkdf2_sha256 hash of %q with 1000 iterations", password)
	return ""
}

// parseUsers parses a user file.
func parseUsers(data []byte) ([]session.Account, error) { return newUserParser(data).parse() }

func TestParseUsers(t *testing.T) {
	list, err := parseUsers([]byte("\ufeff" + `[
	  {"id": 1, "username": "alice", "password": "` + quickHash(t, "correct horse") + `", "is_active": true,
	   "claims": {"role": "admin",  "n": 1.50}, "email": "not read", "ID": 7, "Password": "x"},
	  {"id": "7f9c-uuid", "username": "zoë", "password": "!", "is_active": false, "claims": null},
	  {"id": 9007199254740993, "username": "big", "password": "!", "claims": {}}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(list)
	want := `[{"id":1,"username":"alice","password":"` + quickHash(t, "correct horse") + `","is_active":true,"claims":{"role":"admin","n":1.50}},` +
		`{"id":"7f9c-uuid","username":"zoë","password":"!","is_active":false},` +
		`{"id":9007199254740993,"username":"big","password":"!","is_active":true}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if list, err := parseUsers([]byte(" [] ")); err != nil || len(list) != 0 {
		t.Errorf("empty array: got %v, %v, want no users", list, err)
	}
}

// TestParseUsersErrors checks that errors contain the position but no content of the file,
// which may contain anything by mistake.
func TestParseUsersErrors(t *testing.T) {
	const secret = "Tr0ub4dor"
	for file, want := range map[string]string{
		``:                       "not a JSON array",
		`{}`:                     "not a JSON array",
		`"` + secret:             "not a JSON array",
		"[\n":                    "line 2: the array is not closed",
		"[]\n[]":                 "line 2: there is more text after the array",
		"[]\nx":                  "line 2: there is more text after the array",
		`[` + aliceEntry + `] x`: "more text after the array",
		"[\n\n" + aliceEntry + ",\n" + strings.Replace(aliceEntry, `"id":1`, `"id":2`, 1) + "]": "line 4, entry 2: username is already that of line 3, entry 1",
		"[" + aliceEntry + "," + strings.Replace(aliceEntry, `"alice"`, `"bob"`, 1) + "]":       "line 1, entry 2: id is already that of line 1, entry 1",
		`[` + aliceEntry + `,{"id":"1","username":"bob","password":"!"}]`:                       "id is already that of",
		"[" + aliceEntry + ",\n" + `{"id":3,` + secret + `}]`:                                   "line 2, entry 2: not valid JSON",
		`["` + secret + `"]`:                                                                               "entry 1: not a JSON object",
		`[null]`:                                                                                           "not a JSON object",
		`[{"username":"bob","password":"!"}]`:                                                              "id: a user id is",
		`[{"ID":1,"username":"bob","password":"!"}]`:                                                       "id: a user id is",
		`[{"id":1,"id":2,"username":"bob","password":"!"}]`:                                                "entry 1: id is there twice",
		`[{"id":1,"username":"bob","user\u006eame":"eve","password":"!"}]`:                                 "username is there twice",
		`[{"id":1,"username":"bob","password":"!","password":"!"}]`:                                        "password is there twice",
		`[{"id":1,"username":"bob","password":"!","is_active":false,"is_active":true}]`:                    "is_active is there twice",
		`[{"id":1,"username":"bob","password":"!","claims":null,"claims":{"role":"admin"}}]`:               "claims is there twice",
		`[{"id":1.5,"username":"bob","password":"!"}]`:                                                     "id: a user id is",
		`[{"id":true,"username":"bob","password":"!"}]`:                                                    "id: a user id is",
		`[{"id":1,"username":"","password":"!"}]`:                                                          "username is not a string",
		`[{"id":1,"username":7,"password":"!"}]`:                                                           "username is not a string",
		`[{"id":1,"username":"bob"}]`:                                                                      "password is not a string",
		`[{"id":1,"username":"bob","password":""}]`:                                                        "password is not a string",
		`[{"id":1,"username":"bob","password":12345678}]`:                                                  "password is not a string",
		`[{"id":1,"username":"bob","password":"` + secret + `"}]`:                                          "unknown format",
		`[{"id":1,"username":"bob","password":"md5$` + secret + `$0"}]`:                                    "the hash format md5",
		`[{"id":1,"username":"bob","password":"$2b$31$` + strings.Repeat("a", 53) + `"}]`:                  "bcrypt cost is 31",
		`[{"id":1,"username":"bob","password":"!","is_active":"true"}]`:                                    "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","is_active":0}]`:                                         "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","is_active":null}]`:                                      "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","claims":["role"]}]`:                                     "claims is not a JSON object",
		`[{"id":1,"username":" bob","password":"!"}]`:                                                      "entry 1: user 1: username has white space around it",
		`[{"id":1,"username":"` + strings.Repeat("x", 1025) + `","password":"!"}]`:                         "user 1: username is longer than 1024 bytes",
		`[{"id":1,"username":"bob\u00a0","password":"!"}]`:                                                 "username has white space around it",
		`[{"id":1,"username":"\u001fbob","password":"!"}]`:                                                 "username has white space around it",
		`[{"id":1,"username":"b\u0000b","password":"!"}]`:                                                  "username contains a NUL",
		`[{"id":1,"username":"b` + "\xe9" + `b","password":"!"}]`:                                          "entry 1: user 1: username is not valid UTF-8",
		`[{"id":"b` + "\xe9" + `b","username":"bob","password":"!"}]`:                                      "id: a user id is",
		`[` + aliceEntry + `,{"id":2,"username":"bob","password":"!","claims":{"n":"caf` + "\xe9" + `"}}]`: "entry 2: user 2: claims is not valid UTF-8",
		`[{"id":"b","username":"bob","password":"!","claims":` + claimsOf(session.MaxClaims+1) + `}]`:      `entry 1: user "b": claims has 4097 bytes`,
	} {
		list, err := parseUsers([]byte(file))
		if err == nil || !strings.Contains(err.Error(), want) || list != nil {
			t.Errorf("%s: got error %v, want one with %q", file, err, want)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "12345678") {
			t.Errorf("error %q repeats content of the file", err)
		}
	}
	if _, err := parseUsers(make([]byte, maxFileSize+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a file that is too long: got error %v, want one with \"longer than\"", err)
	}
}

// claimsOf returns claims of the given size in bytes.
func claimsOf(size int) string { return `{"x":"` + strings.Repeat("x", size-len(`{"x":""}`)) + `"}` }

// TestLongestClaims checks that white space does not count towards the size of claims.
func TestLongestClaims(t *testing.T) {
	longest := claimsOf(session.MaxClaims)
	list, err := parseUsers([]byte(`[{"id":1,"username":"bob","password":"!","claims":` + strings.Replace(longest, ":", " : ", 1) + `}]`))
	if err != nil || string(list[0].Claims) != longest {
		t.Errorf("got error %v, or claims that differ", err)
	}
}

const aliceEntry = `{"id":1,"username":"alice","password":"!"}`

// TestImportDjangoDump imports dumps that Django made with "manage.py dumpdata auth.user
// --indent 1" and "manage.py dumpdata contenttypes auth".
func TestImportDjangoDump(t *testing.T) {
	for _, name := range []string{"testdata/dumpdata-auth-user.json", "testdata/dumpdata-all.json"} {
		in, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		list, warnings, err := Import(in, ImportOptions{})
		_ = in.Close()
		if err != nil || warnings != nil {
			t.Fatalf("%s: got warnings %q, error %v, want none", name, warnings, err)
		}
		var got []string
		for _, a := range list {
			format, _, _ := strings.Cut(a.Password, "$")
			line, _ := json.Marshal([]any{a.ID, a.Username, format[:1], a.Active, a.Claims})
			got = append(got, string(line))
		}
		want := []string{
			`[1,"alice","p",true,null]`, `[2,"bob","p",false,null]`, `[3,"carol","!",true,null]`,
			`[4,"zoë","p",true,null]`, `[5,"dan","!",true,null]`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !accepts(list[3], "pässwörd") {
			t.Error("the hash of zoë does not match the password")
		}
	}
}

func TestImport(t *testing.T) {
	custom := `[{"model":"shop.customer","pk":"c-1","fields":{"username":"eve","password":"!","is_active":true}},
	         {"model":"shop.order","pk":1,"fields":{"password":"of the parcel box"}}]`
	list, _, err := Import(strings.NewReader(custom), ImportOptions{})
	if err != nil || len(list) != 1 || list[0].ID != session.TextID("c-1") {
		t.Errorf("custom user model: got %v, %v, want the user c-1", list, err)
	}
	for in, want := range map[string]string{
		`[]`: "no users in the input",
		`[{"model":"auth.group","pk":1,"fields":{"name":"staff"}}]`:          "no users in the input",
		`[{"model":"auth.user","fields":{"username":"eve","password":"!"}}]`: "pk is missing",
		`[{"model":"auth.user","pk":1,"fields":7}]`:                          "fields: not a JSON object",
	} {
		if _, _, err := Import(strings.NewReader(in), ImportOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", in, err, want)
		}
	}
}

// TestImportUsernameField checks that the username of a dump is read from the field that is
// set, and that of a user file always from the member username.
func TestImportUsernameField(t *testing.T) {
	const dump = `[{"model":"auth.user","pk":1,"fields":{"username":"u1","email":"e1@example.org","password":"!","is_active":false}},
	               {"model":"shop.customer","pk":2,"fields":{"email":"e2@example.org","password":"!"}},
	               {"model":"shop.supplier","pk":3,"fields":{"username":"u3","password":"!"}},
	               {"id":4,"username":"u4","email":"e4@example.org","password":"!"}]`
	for field, want := range map[string]string{"": "1 u1, 3 u3, 4 u4", "username": "1 u1, 3 u3, 4 u4", "email": "1 e1@example.org, 2 e2@example.org, 4 u4", "Email": "4 u4"} {
		list, _, err := Import(strings.NewReader(dump), ImportOptions{UsernameField: field})
		var got []string
		for _, a := range list {
			got = append(got, a.ID.String()+" "+a.Username)
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%q: got %q, %v, want %s", field, got, err, want)
		}
	}
	for dump, want := range map[string]string{
		`[{"model":"auth.user","pk":1,"fields":{"email":" e","password":"!"}}]`:             "user 1: username has white space around it, which logins remove: leave it out (the username is the field email)",
		`[{"model":"auth.user","pk":1,"fields":{"email":null,"password":"!"}}]`:             "(the username is the field email)",
		`[{"model":"auth.user","pk":1,"fields":{"email":"a","email":"b","password":"!"}}]`:  "fields: email is there twice",
		`[{"model":"auth.user","pk":1,"pk":2,"fields":{"email":"a","password":"!"}}]`:       "pk is there twice",
		`[{"model":"auth.user","pk":1,"fields":{},"fields":{"email":"a","password":"!"}}]`:  "fields is there twice",
		`[{"model":"auth.user","pk":1,"fields":{"Email":"a","email":"a","password":"!"}},]`: "entry 2: not valid JSON",
	} {
		if _, _, err := Import(strings.NewReader(dump), ImportOptions{UsernameField: "email"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", dump, err, want)
		}
	}
}

// TestImportReplacesInvalidHashes checks that users whose hash is too weak, unknown or out of
// bounds are imported without a usable password, and that a warning says so.
func TestImportReplacesInvalidHashes(t *testing.T) {
	const secret = "Tr0ub4dor"
	in := `[{"model":"auth.user","pk":1,"fields":{"username":"a","password":"` + quickHash(t, "correct horse") + `"}},
	 {"model":"auth.user","pk":2,"fields":{"username":"b","password":"5f4dcc3b5aa765d61d8327deb882cf99"}},
	 {"model":"auth.user","pk":"c-3","fields":{"username":"c","password":"sha1$` + secret + `$0","is_active":false}},
	 {"id":4,"username":"d","password":"` + secret + `","claims":{"x":1}}, {"id":5,"username":"e","password":""},
	 {"model":"auth.user","pk":6,"fields":{"username":"f","password":""}}, {"id":7,"username":"g","password":"!x"},
	 {"id":8,"username":"h","password":"$2b$31$` + strings.Repeat("a", 53) + `"}, {"id":9,"username":"i","password":null}]`
	list, warnings, err := Import(strings.NewReader(in), ImportOptions{})
	if err != nil || len(list) != 9 {
		t.Fatalf("got %d users, %v, want 9", len(list), err)
	}
	var unusable []string
	for _, a := range list {
		if a.Password == "!" {
			unusable = append(unusable, a.Username)
		}
	}
	if strings.Join(unusable, "") != "bcdefhi" || list[2].Active || string(list[3].Claims) != `{"x":1}` || list[6].Password != "!x" {
		t.Errorf("got %+v, want b to f, h and i without a usable password, and all else as in the input", list)
	}
	for i, want := range []string{
		"line 2, entry 2: user 2 can't log in until a new password is set: the password hash has an unknown format",
		`line 3, entry 3: user "c-3" can't log in until a new password is set: the hash format sha1 is too weak`,
		"line 4, entry 4: user 4 can't log in until a new password is set: the password hash has an unknown format",
		"line 4, entry 5: user 5 can't log in",
		"line 6, entry 8: user 8 can't log in until a new password is set: bcrypt cost is 31",
		"line 6, entry 9: user 9 can't log in",
	} {
		if i >= len(warnings) || !strings.HasPrefix(warnings[i], want) {
			t.Errorf("warning %d: got %q, want it to begin with %q", i, warnings, want)
		}
	}
	if text := strings.Join(warnings, "\n"); len(warnings) != 6 || strings.Contains(text, secret) || strings.Contains(text, "5f4d") {
		t.Errorf("got warnings %q, want 6 without any text of a hash", warnings)
	}
	for _, entry := range []string{`{"id":1,"username":"a","password":7}`, `{"id":1,"username":"a"}`} {
		if _, _, err := Import(strings.NewReader("["+entry+"]"), ImportOptions{}); err == nil || !strings.Contains(err.Error(), "password is not a string") {
			t.Errorf("%s: got error %v, want that the password is not a string", entry, err)
		}
	}
}

func FuzzUserFile(f *testing.F) {
	for _, name := range []string{"testdata/dumpdata-auth-user.json", "testdata/dumpdata-all.json"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`[` + aliceEntry + `,{"id":"a","username":"b","password":"!","is_active":false,"claims":{"x":[1,{}]}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseUsers(data)
		if err != nil {
			return
		}
		names, ids := map[string]bool{}, map[string]bool{}
		for _, a := range list {
			if a.Username == "" || a.ID.IsZero() || names[a.Username] || ids[a.ID.String()] {
				t.Errorf("%q has no name or id of its own", a.Username)
			}
			names[a.Username], ids[a.ID.String()] = true, true
			if err := password.ValidateHash(a.Password); err != nil {
				t.Errorf("%q: %v", a.Username, err)
			}
			if a.Claims != nil && (!json.Valid(a.Claims) || a.Claims[0] != '{') {
				t.Errorf("got claims %s, want a JSON object", a.Claims)
			}
		}
		again := encodeUsers(t, list)
		back, err := parseUsers(again)
		if err != nil && list != nil {
			t.Fatalf("the parsed users can't be parsed again: %v", err)
		}
		if twice := encodeUsers(t, back); list != nil && !bytes.Equal(twice, again) {
			t.Errorf("parsed again, got\n%s\nwant\n%s", twice, again)
		}
	})
}

// encodeUsers returns list as a user file. It does not escape HTML, which would make claims
// longer.
func encodeUsers(t *testing.T, list []session.Account) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
