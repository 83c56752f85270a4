package mail_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestAnAlertIsTheNewestMailOfItsSubject(t *testing.T) {
	user, server := imapsWorld(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, written := range []time.Time{at.Add(-time.Hour), at} {
		put(t, user, "INBOX", "[havre host] PROBLEM down\r\nDate: "+written.Format(time.RFC1123Z), "it is down")
	}
	got, err := server.Told(t.Context(), alice, "PROBLEM down", at.Add(300*time.Millisecond))
	if err != nil || !strings.Contains(got, "\nSubject: [havre host] PROBLEM down\n\nit is down\n") {
		t.Errorf("got %q, %v; want the whole subject and the text", got, err)
	}
}

func TestAnAlertOfBeforeIsNotANewOne(t *testing.T) {
	user, server := imapsWorld(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	put(t, user, "INBOX", "PROBLEM down\r\nDate: "+at.Format(time.RFC1123Z), "it was down")
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if got, err := server.Told(ctx, alice, "PROBLEM down", at.Add(time.Second)); err == nil {
		t.Errorf("got %q; want no mail", got)
	}
}

func TestTheTextOfAnAlertIsReadInItsEncoding(t *testing.T) {
	user, server := imapsWorld(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	put(t, user, "INBOX", "PROBLEM down\r\nDate: "+at.Format(time.RFC1123Z)+"\r\nContent-Transfer-Encoding: base64", "aXQgaXMg\r\nZG93bg==")
	if got, err := server.Told(t.Context(), alice, "PROBLEM down", at); err != nil || !strings.HasSuffix(got, "\n\nit is down\n") {
		t.Errorf("got %q, %v; want the words", got, err)
	}
}

func TestAnAlertWithoutADateIsAnError(t *testing.T) {
	user, server := imapsWorld(t)
	put(t, user, "INBOX", "PROBLEM down", "when?")
	if _, err := server.Told(t.Context(), alice, "PROBLEM down", time.Time{}); err == nil || !strings.Contains(err.Error(), "date") {
		t.Errorf("got %v; want that the date is missing", err)
	}
}
