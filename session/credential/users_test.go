package credential

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"tokengate/session"
)

// quick gives a hash of password that takes no time to check.
func quick(t testing.TB, password string) string {
	t.Helper()
	for _, v := range vectors(t) {
		if v.Password == password && strings.HasPrefix(v.Hash, "pbkdf2_sha256$1000$") {
			return v.Hash
		}
	}
	t.Fatalf("no quick hash of %q in testdata", password)
	return ""
}

func TestUserFile(t *testing.T) {
	list, err := parseUsers([]byte("\ufeff" + `[
	  {"id": 1, "username": "alice", "password": "` + quick(t, "correct horse") + `", "is_active": true,
	   "claims": {"role": "admin",  "n": 1.50}, "email": "not read", "ID": 7, "Password": "x"},
	  {"id": "7f9c-uuid", "username": "zoë", "password": "!", "is_active": false, "claims": null},
	  {"id": 9007199254740993, "username": "big", "password": "!", "claims": {}}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(list)
	want := `[{"id":1,"username":"alice","password":"` + quick(t, "correct horse") + `","is_active":true,"claims":{"role":"admin","n":1.50}},` +
		`{"id":"7f9c-uuid","username":"zoë","password":"!","is_active":false},` +
		`{"id":9007199254740993,"username":"big","password":"!","is_active":true}]`
	if string(got) != want {
		t.Errorf("read\n%s\nwant\n%s", got, want)
	}
	if list, err := parseUsers([]byte(" [] ")); err != nil || len(list) != 0 {
		t.Errorf("no users: %v, %v", list, err)
	}
}

// Errors say where, and never what: a file may hold anything by mistake.
func TestUserFilesThatAreRefused(t *testing.T) {
	const secret = "Tr0ub4dor"
	for file, want := range map[string]string{
		``:                    "not a JSON array",
		`{}`:                  "not a JSON array",
		`"` + secret:          "not a JSON array",
		"[\n":                 "line 2: the array has no end",
		"[]\n[]":              "line 2: more follows the array",
		`[` + anEntry + `] x`: "more follows",
		"[\n\n" + anEntry + ",\n" + strings.Replace(anEntry, `"id":1`, `"id":2`, 1) + "]": "line 4, entry 2: username is that of line 3, entry 1 too",
		"[" + anEntry + "," + strings.Replace(anEntry, `"alice"`, `"bob"`, 1) + "]":       "line 1, entry 2: id is that of line 1, entry 1 too",
		`[` + anEntry + `,{"id":"1","username":"bob","password":"!"}]`:                    "id is that of",
		"[" + anEntry + ",\n" + `{"id":3,` + secret + `}]`:                                "line 2, entry 2: it is not valid JSON",
		`["` + secret + `"]`:                  "it is not a JSON object",
		`[null]`:                              "id: a user id is",
		`[{"username":"bob","password":"!"}]`: "id: a user id is",
		`[{"id":1.5,"username":"bob","password":"!"}]`:                                                  "id: a user id is",
		`[{"id":true,"username":"bob","password":"!"}]`:                                                 "id: a user id is",
		`[{"id":1,"username":"","password":"!"}]`:                                                       "username is not a string",
		`[{"id":1,"username":7,"password":"!"}]`:                                                        "username is not a string",
		`[{"id":1,"username":"bob"}]`:                                                                   "password is not a string",
		`[{"id":1,"username":"bob","password":""}]`:                                                     "password is not a string",
		`[{"id":1,"username":"bob","password":12345678}]`:                                               "password is not a string",
		`[{"id":1,"username":"bob","password":"` + secret + `"}]`:                                       "none of the known formats",
		`[{"id":1,"username":"bob","password":"md5$` + secret + `$0"}]`:                                 "Django's md5",
		`[{"id":1,"username":"bob","password":"$2b$31$` + strings.Repeat("a", 53) + `"}]`:               "bcrypt cost is 31",
		`[{"id":1,"username":"bob","password":"!","is_active":"true"}]`:                                 "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","is_active":0}]`:                                      "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","is_active":null}]`:                                   "is_active is neither",
		`[{"id":1,"username":"bob","password":"!","claims":["role"]}]`:                                  "claims is not a JSON object",
		`[{"id":1,"username":"bob","password":"!","claims":"role"}]`:                                    "claims is not a JSON object",
		`[{"id":1,"username":" bob","password":"!"}]`:                                                   "entry 1: user 1: username has white space around it",
		`[{"id":1,"username":"bob\u00a0","password":"!"}]`:                                              "username has white space around it",
		`[{"id":1,"username":"\u001fbob","password":"!"}]`:                                              "username has white space around it",
		`[{"id":1,"username":"b\u0000b","password":"!"}]`:                                               "username holds a NUL",
		`[{"id":1,"username":"b` + "\xe9" + `b","password":"!"}]`:                                       "entry 1: user 1: username is not valid UTF-8",
		`[{"id":"b` + "\xe9" + `b","username":"bob","password":"!"}]`:                                   "id: a user id is",
		`[` + anEntry + `,{"id":2,"username":"bob","password":"!","claims":{"n":"caf` + "\xe9" + `"}}]`: "entry 2: user 2: claims is not valid UTF-8",
		`[{"id":"b","username":"bob","password":"!","claims":` + claimsOf(session.MaxClaims+1) + `}]`:   `entry 1: user "b": claims has 4097 bytes`,
	} {
		list, err := parseUsers([]byte(file))
		if err == nil || !strings.Contains(err.Error(), want) || list != nil {
			t.Errorf("%s: %v, want …%s…", file, err, want)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "12345678") {
			t.Errorf("%q repeats what stands in the file", err)
		}
	}
	if _, err := parseUsers(make([]byte, maxFile+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a huge file: %v", err)
	}
}

// claimsOf gives claims of so many bytes.
func claimsOf(size int) string { return `{"x":"` + strings.Repeat("x", size-len(`{"x":""}`)) + `"}` }

// As many claims as a token takes may be written with white space around them.
func TestLongestClaims(t *testing.T) {
	longest := claimsOf(session.MaxClaims)
	list, err := parseUsers([]byte(`[{"id":1,"username":"bob","password":"!","claims":` + strings.Replace(longest, ":", " : ", 1) + `}]`))
	if err != nil || string(list[0].Claims) != longest {
		t.Error(err)
	}
}

const anEntry = `{"id":1,"username":"alice","password":"!"}`

// The dumps are Django's own: manage.py dumpdata auth.user --indent 1, and
// manage.py dumpdata contenttypes auth.
func TestImportDjangoDump(t *testing.T) {
	for _, name := range []string{"testdata/dumpdata-auth-user.json", "testdata/dumpdata-all.json"} {
		in, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Import(in)
		_ = in.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
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
			t.Errorf("%s:\n%s", name, strings.Join(got, "\n"))
		}
		if h := mustParse(t, list[3].Password); !h.match("pässwörd") {
			t.Error("zoë's password does not match her hash")
		}
	}
}

func TestImport(t *testing.T) {
	own := `[{"model":"shop.customer","pk":"c-1","fields":{"username":"eve","password":"!","is_active":true}},
	         {"model":"shop.order","pk":1,"fields":{"password":"of the parcel box"}}]`
	list, err := Import(strings.NewReader(own))
	if err != nil || len(list) != 1 || list[0].ID != session.TextID("c-1") {
		t.Errorf("a user model of one's own: %v, %v", list, err)
	}
	for in, want := range map[string]string{
		`[]`: "no user in it",
		`[{"model":"auth.group","pk":1,"fields":{"name":"staff"}}]`:                      "no user in it",
		`[{"model":"auth.user","fields":{"username":"eve","password":"!"}}]`:             "pk is missing",
		`[{"model":"auth.user","pk":1,"fields":7}]`:                                      "fields is not a JSON object",
		`[{"model":"auth.user","pk":1,"fields":{"username":"e","password":"sha1$a$b"}}]`: "line 1, entry 1: password: the hash is Django's sha1",
	} {
		if _, err := Import(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", in, err, want)
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
	f.Add([]byte(`[` + anEntry + `,{"id":"a","username":"b","password":"!","is_active":false,"claims":{"x":[1,{}]}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseUsers(data)
		if err != nil {
			return
		}
		names, ids := map[string]bool{}, map[string]bool{}
		for _, a := range list {
			if a.Username == "" || a.ID.IsZero() || names[a.Username] || ids[a.ID.String()] {
				t.Errorf("%q is not distinct", a.Username)
			}
			names[a.Username], ids[a.ID.String()] = true, true
			if err := CheckHash(a.Password); err != nil {
				t.Errorf("%q: %v", a.Username, err)
			}
			if a.Claims != nil && (!json.Valid(a.Claims) || a.Claims[0] != '{') {
				t.Errorf("claims %s", a.Claims)
			}
		}
		again := written(t, list)
		back, err := parseUsers(again)
		if err != nil && list != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
		if twice := written(t, back); list != nil && !bytes.Equal(twice, again) {
			t.Errorf("read again it is\n%s\nand was\n%s", twice, again)
		}
	})
}

// written is list as a user file. HTML's signs are not escaped: that would make
// claims longer.
func written(t *testing.T, list []session.Account) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
