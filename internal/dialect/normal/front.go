package normal

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"havre/internal/spec"
)

// writeFront writes how the ingress serves a service.
func writeFront(m *mapping, f spec.Front) {
	m.put("strip", yes(f.Strip))
	m.put("redirect", yes(f.Redirect))
	m.put("scheme", some(string(f.Scheme)))
	m.put("proxy", some(string(f.Proxy)))
	m.put("sticky", some(string(f.Sticky)))
	if f.Plain {
		m.put("compress", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})
	}
	if f.Body != 0 {
		m.put("body", text(fmt.Sprint(int64(f.Body))))
	}
	if f.Check.Path != "" {
		check := mapping{}
		check.put("path", text(f.Check.Path))
		check.put("every", length(f.Check.Every))
		check.put("timeout", length(f.Check.Timeout))
		m.put("check", check.node())
	}
	m.put("users", texts(f.Users))
	if f.Rate.Events != 0 {
		unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[f.Rate.Per.Std()]
		rate := mapping{}
		rate.put("limit", text(fmt.Sprintf("%d/%s", f.Rate.Events, unit)))
		rate.put("burst", number(int64(f.Rate.Burst)))
		m.put("rate", rate.node())
	}
}
