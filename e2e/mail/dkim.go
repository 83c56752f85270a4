package mail

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrUnsigned says that a mail has no DKIM signature.
var ErrUnsigned = errors.New("the mail has no DKIM-Signature")

// Signer gives the domain that signed a mail, as it went over the wire, by
// DKIM (RFC 6376), with what exim writes and nothing else: rsa-sha256, relaxed
// header and body. Record gives the text of a TXT record by its name. Of
// several signatures the first counts.
// Errors: ErrUnsigned; any other when the signature does not hold.
func Signer(text string, record func(name string) (string, error)) (string, error) {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	fields := headerFields(head)
	at := slices.IndexFunc(fields, func(f string) bool { return named(f, "dkim-signature") })
	if at < 0 {
		return "", ErrUnsigned
	}
	_, value, _ := strings.Cut(fields[at], ":")
	tags := tagsOf(value)
	for tag, want := range map[string]string{"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "l": ""} {
		if tags[tag] != want {
			return "", fmt.Errorf("DKIM-Signature says %s=%s, want %q", tag, tags[tag], want)
		}
	}
	if sum := sha256.Sum256([]byte(relaxedBody(body))); base64.StdEncoding.EncodeToString(sum[:]) != tags["bh"] {
		return "", errors.New("the body is not the one that was signed")
	}
	signed, err := signedHeader(fields, at, tags["h"])
	if err != nil {
		return "", err
	}
	found, err := record(tags["s"] + "._domainkey." + tags["d"])
	if err != nil {
		return "", err
	}
	return tags["d"], verify(signed, tags["b"], tagsOf(found))
}

// headerFields splits a header, folded lines left as they are.
func headerFields(head string) []string {
	var fields []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if n := len(fields); n > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			fields[n-1] += "\r\n" + line
			continue
		}
		fields = append(fields, line)
	}
	return fields
}

func named(field, name string) bool {
	have, _, _ := strings.Cut(field, ":")
	return strings.EqualFold(strings.TrimSpace(have), name)
}

// tagsOf reads "a=b; c=d"; no value that is used here has a space that counts.
func tagsOf(list string) map[string]string {
	tags := map[string]string{}
	for tag := range strings.SplitSeq(list, ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
	}
	return tags
}

var (
	spaces       = regexp.MustCompile(`[ \t]+`)
	ownSignature = regexp.MustCompile(`((?:^|;|:)\s*b\s*=)[^;]*`)
)

// relaxedBody is RFC 6376, 3.4.4.
func relaxedBody(body string) string {
	lines := strings.Split(body, "\r\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(spaces.ReplaceAllString(line, " "), " ")
	}
	body = strings.TrimRight(strings.Join(lines, "\r\n"), "\r\n")
	if body == "" {
		return ""
	}
	return body + "\r\n"
}

// relaxedField is RFC 6376, 3.4.2.
func relaxedField(field string) string {
	name, value, _ := strings.Cut(field, ":")
	value = spaces.ReplaceAllString(strings.ReplaceAll(value, "\r\n", ""), " ")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(value)
}

// signedHeader is what the signature is of: of fields that are there several
// times the last first, and at the end the signature's own without its value
// (RFC 6376, 3.7 and 5.4.2).
func signedHeader(fields []string, own int, names string) ([]byte, error) {
	var signed bytes.Buffer
	used := map[int]bool{}
	from := false
	for name := range strings.SplitSeq(names, ":") {
		from = from || strings.EqualFold(name, "from")
		for i := len(fields) - 1; i >= 0; i-- {
			if !used[i] && named(fields[i], name) {
				used[i] = true
				signed.WriteString(relaxedField(fields[i]) + "\r\n")
				break
			}
		}
	}
	if !from {
		return nil, errors.New("the signature leaves From out")
	}
	signed.WriteString(relaxedField(ownSignature.ReplaceAllString(fields[own], "$1")))
	return signed.Bytes(), nil
}

func verify(signed []byte, signature string, record map[string]string) error {
	raw, err := base64.StdEncoding.DecodeString(record["p"])
	if err != nil {
		return fmt.Errorf("the published key: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return fmt.Errorf("the published key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("the published key is a %T", parsed)
	}
	bits, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("the signature: %w", err)
	}
	sum := sha256.Sum256(signed)
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], bits); err != nil {
		return fmt.Errorf("the header is not the one that was signed: %w", err)
	}
	return nil
}
