package users

import (
	"slices"
	"strings"
)

// tableOf returns the name of the first table after FROM in an SQL query, as the query
// writes it, with its schema if that is given. It returns an empty string if there is none.
// A table of the query itself precedes one of a subquery, and names that a WITH clause
// defines are no tables. A FROM that belongs to a function, as in extract(year from …), or
// to IS DISTINCT FROM, and a function after FROM are skipped.
func tableOf(sql string) (table string) {
	tokens := scanSQL(sql)
	defined := definedNames(tokens)
	selects := []bool{false} // whether each open level of parentheses has a SELECT
	lowest := len(tokens)
	for i, t := range tokens {
		switch {
		case t == "(":
			selects = append(selects, false)
		case t == ")" && len(selects) > 1:
			selects = selects[:len(selects)-1]
		case strings.EqualFold(t, "select"):
			selects[len(selects)-1] = true
		case strings.EqualFold(t, "from") && selects[len(selects)-1] && (i == 0 || !strings.EqualFold(tokens[i-1], "distinct")):
			name := tableAt(tokens[i+1:])
			if name != "" && len(selects) < lowest && !slices.Contains(defined, strings.ToLower(name)) {
				table, lowest = name, len(selects)
			}
		}
	}
	return table
}

// tableAt returns the name of the table at the start of tokens, or an empty string if there
// is something else.
func tableAt(tokens []string) string {
	if len(tokens) > 0 {
		switch strings.ToLower(tokens[0]) {
		case "only":
			tokens = tokens[1:]
		case "lateral", "rows": // a subquery or a function follows
			return ""
		}
	}
	var name strings.Builder
	for i, t := range tokens {
		switch {
		case i%2 == 0 && isName(t):
			name.WriteString(t)
		case i%2 == 1 && t == ".":
			name.WriteString(t)
		case i%2 == 1 && t != "(":
			return name.String()
		default:
			return ""
		}
	}
	return name.String()
}

// definedNames returns the names, in lower case, that WITH clauses define: those before
// AS and an opening parenthesis.
func definedNames(tokens []string) (names []string) {
	for i := 1; i+1 < len(tokens); i++ {
		next := tokens[i+1]
		if strings.EqualFold(tokens[i], "as") && (next == "(" || strings.EqualFold(next, "materialized") || strings.EqualFold(next, "not")) {
			names = append(names, strings.ToLower(tokens[i-1]))
		}
	}
	return names
}

// isName reports whether a token is an identifier or a key word.
func isName(token string) bool { return token[0] == '"' || isLetter(token[0]) }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// constant is the token of every string constant.
const constant = "'"

// scanSQL splits an SQL query into key words, identifiers with their quotation marks, string
// constants (see constant), and single other characters. It leaves out white space and
// comments.
func scanSQL(sql string) (tokens []string) {
	for len(sql) > 0 {
		n := 1 // bytes of the next token
		keep, text := true, false
		switch c := sql[0]; {
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			keep = false
		case strings.HasPrefix(sql, "--"):
			n, keep = through(sql, 2, "\n"), false
		case strings.HasPrefix(sql, "/*"):
			n, keep = commentLength(sql), false
		case c == '\'':
			n, text = through(sql, 1, "'"), true // two quotation marks in a constant are taken for two constants
		case len(sql) > 1 && (c == 'e' || c == 'E') && sql[1] == '\'':
			n, text = escapedLength(sql), true
		case c == '"':
			for n = through(sql, 1, `"`); strings.HasPrefix(sql[n:], `"`); {
				n += through(sql[n:], 1, `"`)
			}
		case c == '$':
			if tag := dollarTag(sql); tag != "" {
				n, text = through(sql, len(tag), tag), true
			}
		case isLetter(c):
			for n < len(sql) && (isLetter(sql[n]) || sql[n] >= '0' && sql[n] <= '9' || sql[n] == '$') {
				n++
			}
		}
		switch {
		case text:
			tokens = append(tokens, constant)
		case keep:
			tokens = append(tokens, sql[:n])
		}
		sql = sql[n:]
	}
	return tokens
}

// through returns the length of sql up to and including the first end at or after from.
func through(sql string, from int, end string) int {
	if i := strings.Index(sql[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(sql)
}

// commentLength returns the length of the comment, which may contain others, at the start
// of sql.
func commentLength(sql string) int {
	depth := 0
	for i := 0; i+1 < len(sql); i++ {
		switch sql[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(sql)
}

// escapedLength returns the length of the string constant with backslashes at the start of
// sql.
func escapedLength(sql string) int {
	for i := 2; i < len(sql); i++ {
		switch sql[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(sql)
}

// dollarTag returns the tag, such as $$ or $x$, that begins a string constant at the start
// of sql. It returns an empty string if a parameter such as $1 is there instead.
func dollarTag(sql string) string {
	end := strings.IndexByte(sql[1:], '$')
	if end < 0 {
		return ""
	}
	tag := sql[:end+2]
	for i, c := range []byte(tag[1 : end+1]) {
		if !isLetter(c) && (i == 0 || c < '0' || c > '9') {
			return ""
		}
	}
	return tag
}
