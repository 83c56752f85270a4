package mail_test

import (
	"errors"
	"strings"
	"testing"

	"havre/e2e/mail"
)

// RFC 8463, appendix A: a mail and the record of its rsa-sha256 signature.
const (
	rfcRecord = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
	rfcMail   = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`
)

func TestSignatureIsOfTheWholeMail(t *testing.T) {
	wire := strings.ReplaceAll(rfcMail, "\n", "\r\n")
	record := func(name string) (string, error) {
		if name != "test._domainkey.football.example.com" {
			return "", errors.New("no such record: " + name)
		}
		return rfcRecord, nil
	}
	if domain, err := mail.Signer(wire, record); err != nil || domain != "football.example.com" {
		t.Errorf("the RFC's own mail: %q, %v", domain, err)
	}
	_, unsigned, _ := strings.Cut(wire, "8=\r\n")
	if _, err := mail.Signer(unsigned, record); !errors.Is(err, mail.ErrUnsigned) {
		t.Errorf("without a signature: %v", err)
	}
	for of, change := range map[string][2]string{
		"the body":      {"lost", "won"},
		"From":          {"Joe SixPack", "Mallory"},
		"the signature": {"b=F45", "b=F46"},
		"a second From": {"Message-ID:", "From: mallory@elsewhere.example\r\nMessage-ID:"},
		"the domain":    {"d=football", "d=handball"},
		"the length":    {"q=dns/txt", "l=3"},
		"no From in it": {"h=from : to", "h=to"},
	} {
		if _, err := mail.Signer(strings.Replace(wire, change[0], change[1], 1), record); err == nil || errors.Is(err, mail.ErrUnsigned) {
			t.Errorf("%s was changed: %v", of, err)
		}
	}
}
