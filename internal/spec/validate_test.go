package spec_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/spec"
)

// good is a project with much in it and no mistake.
func good() spec.Project {
	return spec.Project{Name: "shop", Files: []spec.File{{Name: "a.conf", Content: []byte("a")}}, Secrets: []spec.Secret{{Name: "password"}, {Name: "token", External: "shared.token"}}, Services: []spec.Service{
		{Name: "db", Image: "db:1", Replicas: 1, Mounts: []spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/data"}}},
		{
			Name: "web", Image: "example.org:5000/a/b:1@sha256:" + strings.Repeat("a", 64), Replicas: 2,
			Ports:  []spec.Port{{Internal: 80, External: 8080, Protocol: spec.TCP, Access: spec.Private}, {Internal: 81, Protocol: spec.TCP, Access: spec.Public}},
			Mounts: []spec.Mount{{Kind: spec.Config, Source: "a.conf", Target: "/etc/a"}, {Kind: spec.Tmpfs, Target: "/tmp"}, {Kind: spec.SecretFile, Source: "password", Target: "/run/secrets/password", UID: 33, Mode: 0o400}},
			Needs:  []spec.Need{{Service: "db", Condition: spec.Healthy}}, Links: []spec.Link{{To: "db", Alias: "store"}, {To: "web"}},
			Health: &spec.Health{Test: []string{"CMD", "true"}}, Limits: spec.Limits{Memory: 64 << 20}, Restart: spec.Restart{Policy: spec.OnFailure},
			User: "www:www", Hostname: "web.shop.example", Domains: []spec.Domain{{Host: "a.example"}}, StopSignal: "SIGINT",
			Groups: []string{"www", "27"}, TTY: true, Stdin: true, CapDrop: []string{"ALL"}, Ulimits: []spec.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			Sysctls: map[string]string{"net.core.somaxconn": "1024", "net.ipv4.ip_local_port_range": "1024 65000"},
			Hosts:   []spec.Host{{Name: "a.example", Address: "192.0.2.1"}, {Name: "b", Address: "::1"}, {Name: "c", Address: spec.HostGateway}},
			DNS:     spec.DNS{Servers: []string{"192.0.2.53"}, Search: []string{"example", "."}, Options: []string{"ndots:2"}}, Log: spec.Log{Size: 1 << 20, Files: 2},
		},
	}}
}

func TestGoodProjectHasNoMistake(t *testing.T) {
	for _, m := range spec.Validate(good()) {
		t.Errorf("%s: %v", m.Path, m.Problem)
	}
}

func TestMistakesAreFoundWhereTheyAre(t *testing.T) {
	web := func(p *spec.Project) *spec.Service { return &p.Services[1] }
	for says, c := range map[string]struct {
		spoil func(p *spec.Project)
		path  string
	}{
		"project's name":          {func(p *spec.Project) { p.Name = "a.b" }, "name"},
		"name like an id":         {func(p *spec.Project) { web(p).Name = "deadbeef0123" }, "services.deadbeef0123"},
		"declared twice":          {func(p *spec.Project) { p.Services[0].Name = "WEB" }, "services.web"},
		"no image":                {func(p *spec.Project) { web(p).Image = "" }, "services.web"},
		"odd image":               {func(p *spec.Project) { web(p).Image = "A b" }, "services.web.image"},
		"replicas":                {func(p *spec.Project) { web(p).Replicas = -1 }, "services.web.replicas"},
		"too many":                {func(p *spec.Project) { web(p).Replicas = 1001 }, "services.web.replicas"},
		"variable":                {func(p *spec.Project) { web(p).Environment = map[string]string{"A=B": ""} }, "services.web.environment"},
		"user":                    {func(p *spec.Project) { web(p).User = "-x" }, "services.web.user"},
		"unknown signal":          {func(p *spec.Project) { web(p).StopSignal = "SIGFOO" }, "services.web.stopSignal"},
		"signal":                  {func(p *spec.Project) { web(p).StopSignal = "kill it" }, "services.web.stopSignal"},
		"alias":                   {func(p *spec.Project) { web(p).Aliases = []string{"a b"} }, "services.web.aliases[0]"},
		"host name":               {func(p *spec.Project) { web(p).Hostname = "a_b.c" }, "services.web.hostname"},
		"host name like an id":    {func(p *spec.Project) { web(p).Hostname = "deadbeef0123" }, "services.web.hostname"},
		"label":                   {func(p *spec.Project) { web(p).Labels = map[string]string{"Havre.env": ""} }, "services.web.labels"},
		"inner port":              {func(p *spec.Project) { web(p).Ports[0].Internal = 0 }, "services.web.ports[0]"},
		"protocol":                {func(p *spec.Project) { web(p).Ports[1].Protocol = "sctp" }, "services.web.ports[1]"},
		"no access":               {func(p *spec.Project) { web(p).Ports[1].Access = "" }, "services.web.ports[1]"},
		"access":                  {func(p *spec.Project) { web(p).Access = "all" }, "services.web.access"},
		"port twice":              {func(p *spec.Project) { web(p).Ports[1].External = 8080 }, "services.web.ports[1]"},
		"mount at /":              {func(p *spec.Project) { web(p).Mounts[1].Target = "/" }, "services.web.mounts[1]"},
		"mount aside":             {func(p *spec.Project) { web(p).Mounts[1].Target = "/a/../b" }, "services.web.mounts[1]"},
		"mount in /proc":          {func(p *spec.Project) { web(p).Mounts[1].Target = "/proc/1" }, "services.web.mounts[1]"},
		"mount twice":             {func(p *spec.Project) { web(p).Mounts[1].Target = "/etc/a" }, "services.web.mounts[1]"},
		"mount of nothing":        {func(p *spec.Project) { web(p).Mounts[1].Kind = "bind" }, "services.web.mounts[1]"},
		"tmpfs of something":      {func(p *spec.Project) { web(p).Mounts[1].Source = "/x" }, "services.web.mounts[1]"},
		"no such file":            {func(p *spec.Project) { web(p).Mounts[0].Source = "b.conf" }, "services.web.mounts[0]"},
		"volume's name":           {func(p *spec.Project) { p.Services[0].Mounts[0].Source = "../x" }, "services.db.mounts[0]"},
		"need of nobody":          {func(p *spec.Project) { web(p).Needs[0].Service = "x" }, "services.web.needs[0]"},
		"need of what":            {func(p *spec.Project) { web(p).Needs[0].Condition = "" }, "services.web.needs[0]"},
		"need of an end":          {func(p *spec.Project) { web(p).Needs[0].Condition = spec.Completed }, "services.web.needs[0]"},
		"needs in a circle":       {func(p *spec.Project) { p.Services[0].Needs = []spec.Need{{Service: "web", Condition: spec.Started}} }, "services.db.needs"},
		"need of oneself":         {func(p *spec.Project) { web(p).Needs[0].Service = "web" }, "services.web.needs"},
		"link to nobody":          {func(p *spec.Project) { web(p).Links[0].To = "x" }, "services.web.links[0]"},
		"link's alias":            {func(p *spec.Project) { web(p).Links[0].Alias = "a..b" }, "services.web.links[0]"},
		"alias of another":        {func(p *spec.Project) { web(p).Links[0].Alias = "Web" }, "services.web.links[0]"},
		"alias of two":            {func(p *spec.Project) { web(p).Links[1].Alias = "store" }, "services.web.links[1]"},
		"domain":                  {func(p *spec.Project) { web(p).Domains[0].Host = "https://a" }, "services.web.domains[0]"},
		"domain in capitals":      {func(p *spec.Project) { web(p).Domains[0].Host = "A.example" }, "services.web.domains[0]"},
		"long domain":             {func(p *spec.Project) { web(p).Domains[0].Host = strings.Repeat("a.", 127) + "a" }, "services.web.domains[0]"},
		"little memory":           {func(p *spec.Project) { web(p).Limits.Memory = 1 << 20 }, "services.web.limits"},
		"limit below zero":        {func(p *spec.Project) { web(p).Reserve.CPUs = -1 }, "services.web.reserve"},
		"check of something":      {func(p *spec.Project) { web(p).Health.Test = []string{"true"} }, "services.web.health"},
		"check without a command": {func(p *spec.Project) { web(p).Health.Test = []string{"CMD"} }, "services.web.health"},
		"check back in time":      {func(p *spec.Project) { web(p).Health.Interval = -1 }, "services.web.health"},
		"time of the init":        {func(p *spec.Project) { web(p).InitTimeout = -1 }, "services.web.initTimeout"},
		"time of the upgrade":     {func(p *spec.Project) { web(p).UpgradeTimeout = -1 }, "services.web.upgradeTimeout"},
		"grace":                   {func(p *spec.Project) { web(p).StopGrace = -1 }, "services.web.stopGrace"},
		"group":                   {func(p *spec.Project) { web(p).Groups = []string{"a b"} }, "services.web.groups"},
		"capability, added":       {func(p *spec.Project) { web(p).CapAdd = []string{"NET_RWA"} }, "services.web.capAdd"},
		"all capabilities":        {func(p *spec.Project) { web(p).CapAdd = []string{"ALL"} }, "services.web.capAdd"},
		"added and dropped":       {func(p *spec.Project) { web(p).CapAdd, web(p).CapDrop = []string{"NET_ADMIN"}, []string{"NET_ADMIN"} }, "services.web.capAdd"},
		"capability":              {func(p *spec.Project) { web(p).CapDrop = []string{"CAP_CHOWN"} }, "services.web.capDrop"},
		"limit of others":         {func(p *spec.Project) { web(p).Ulimits[0].Name = "rtprio" }, "services.web.ulimits"},
		"limit of files":          {func(p *spec.Project) { web(p).Ulimits[0].Hard = -1 }, "services.web.ulimits"},
		"limit back in count":     {func(p *spec.Project) { web(p).Ulimits[0].Soft = -2 }, "services.web.ulimits"},
		"soft above hard":         {func(p *spec.Project) { web(p).Ulimits[0].Soft = 3 }, "services.web.ulimits"},
		"setting of the machine":  {func(p *spec.Project) { web(p).Sysctls = map[string]string{"kernel.core_pattern": "|/x"} }, "services.web.sysctls"},
		"setting's value":         {func(p *spec.Project) { web(p).Sysctls = map[string]string{"net.core.somaxconn": "1;2"} }, "services.web.sysctls"},
		"host like an id":         {func(p *spec.Project) { web(p).Hosts[0].Name = "a.deadbeef0123" }, "services.web.hosts"},
		"host's address":          {func(p *spec.Project) { web(p).Hosts[0].Address = "db" }, "services.web.hosts"},
		"DNS server":              {func(p *spec.Project) { web(p).DNS.Servers = []string{"127.0.0.1"} }, "services.web.dns"},
		"DNS domain":              {func(p *spec.Project) { web(p).DNS.Search = []string{"a b"} }, "services.web.dns"},
		"DNS option":              {func(p *spec.Project) { web(p).DNS.Options = []string{"ndots:16"} }, "services.web.dns"},
		"log":                     {func(p *spec.Project) { web(p).Log.Files = 11 }, "services.web.log"},
		"nothing to run":          {func(p *spec.Project) { web(p).Entrypoint, web(p).Command = []string{""}, nil }, "services.web.entrypoint"},
		"many hosts":              {func(p *spec.Project) { web(p).Hosts = slices.Repeat(web(p).Hosts, 65) }, "services.web"},
		"order":                   {func(p *spec.Project) { web(p).Order = "both" }, "services.web.order"},
		"restart":                 {func(p *spec.Project) { web(p).Restart.Policy = "sometimes" }, "services.web.restart"},
		"secret's name":           {func(p *spec.Project) { p.Secrets[0].Name = "a/b" }, "secrets.a/b"},
		"secret elsewhere":        {func(p *spec.Project) { p.Secrets[1].External = "../x" }, "secrets.token"},
		"secret twice":            {func(p *spec.Project) { p.Secrets[1].Name = "password" }, "secrets.password"},
		"no such secret":          {func(p *spec.Project) { p.Secrets = p.Secrets[1:] }, "services.web.mounts[2]"},
		"owner of a volume":       {func(p *spec.Project) { web(p).Mounts[1].UID = 5 }, "services.web.mounts[1]"},
		"owner out of range":      {func(p *spec.Project) { web(p).Mounts[2].GID = 1 << 31 }, "services.web.mounts[2]"},
		"set-user bit":            {func(p *spec.Project) { web(p).Mounts[2].Mode = 0o4444 }, "services.web.mounts[2]"},
		"large file":              {func(p *spec.Project) { p.Files[0].Content = make([]byte, spec.MaxFile+1) }, "files.a.conf"},
	} {
		t.Run(says, func(t *testing.T) {
			p := good()
			c.spoil(&p)
			found := spec.Validate(p)
			if !slices.ContainsFunc(found, func(m spec.Mistake) bool { return m.Path == c.path }) {
				t.Errorf("nothing is wrong at %s: %v", c.path, found)
			}
			for _, m := range found {
				if m.Problem.Kind != problem.Invalid || m.Problem.Remedy == "" || m.Problem.Says == "" {
					t.Errorf("it helps nobody: %+v", m.Problem)
				}
			}
		})
	}
}

func TestAllMistakesComeAtOnce(t *testing.T) {
	p := good()
	p.Name, p.Services[0].Image, p.Services[1].Replicas = "", "", -1
	if n := len(spec.Validate(p)); n != 3 {
		t.Errorf("%d of 3", n)
	}
}

func TestStartOrder(t *testing.T) {
	need := func(names ...string) (needs []spec.Need) {
		for _, n := range names {
			needs = append(needs, spec.Need{Service: n})
		}
		return needs
	}
	link := func(to string) []spec.Link { return []spec.Link{{To: to}} }
	for says, c := range map[string]struct {
		services []spec.Service
		want     string
		ring     bool
	}{
		"by name":                     {[]spec.Service{{Name: "b"}, {Name: "a"}}, "a b", false},
		"by priority, then name":      {[]spec.Service{{Name: "a", Priority: 2}, {Name: "c"}, {Name: "b"}}, "b c a", false},
		"needs before priority":       {[]spec.Service{{Name: "a", Needs: need("b")}, {Name: "b", Priority: 9}}, "b a", false},
		"links before priority":       {[]spec.Service{{Name: "a", Links: link("b")}, {Name: "b", Priority: 9}}, "b a", false},
		"links in a circle":           {[]spec.Service{{Name: "a", Links: link("b")}, {Name: "b", Links: link("a")}}, "a b", false},
		"a circle by priority":        {[]spec.Service{{Name: "a", Links: link("b"), Priority: 2}, {Name: "b", Links: link("c"), Priority: 1}, {Name: "c", Links: link("a")}}, "c b a", false},
		"who links to a circle":       {[]spec.Service{{Name: "a", Links: link("b")}, {Name: "b", Links: link("c"), Priority: 2}, {Name: "c", Links: link("b"), Priority: 1}, {Name: "d"}}, "c b a d", false},
		"a link to oneself":           {[]spec.Service{{Name: "a", Links: link("a")}}, "a", false},
		"needs before links":          {[]spec.Service{{Name: "a", Links: link("b")}, {Name: "b", Needs: need("a")}}, "a b", false},
		"needs in a circle":           {[]spec.Service{{Name: "a", Needs: need("b")}, {Name: "b", Needs: need("a")}}, "", true},
		"a chain":                     {[]spec.Service{{Name: "a", Needs: need("b")}, {Name: "b", Needs: need("c")}, {Name: "c"}}, "c b a", false},
		"need of one that is missing": {[]spec.Service{{Name: "a", Needs: need("x")}}, "a", false},
	} {
		order, ring := spec.StartOrder(spec.Project{Services: c.services})
		if strings.Join(order, " ") != c.want || len(ring) > 0 != c.ring {
			t.Errorf("%s: %v, ring %v", says, order, ring)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	p := good()
	c := p.Clone()
	if !reflect.DeepEqual(p, c) {
		t.Errorf("got %+v", c)
	}
	c.Services[1].Ports[0].External, c.Files[0].Content[0], c.Services[1].Health.Test[0] = 1, 'b', "NONE"
	if !reflect.DeepEqual(p, good()) {
		t.Error("the original changed")
	}
}

func TestDurationsAreWrittenAsGoDoes(t *testing.T) {
	text, err := json.Marshal(spec.Duration(90 * time.Second))
	var back spec.Duration
	if err != nil || string(text) != `"1m30s"` || json.Unmarshal(text, &back) != nil || back.Std() != 90*time.Second {
		t.Errorf("%s, %v, %v", text, err, back)
	}
	if json.Unmarshal([]byte(`"soon"`), &back) == nil {
		t.Error("soon is a duration")
	}
}

func TestWritersAreThoseWithAVolumeToWrite(t *testing.T) {
	for _, c := range []struct {
		mount spec.Mount
		want  bool
	}{{spec.Mount{Kind: spec.Volume}, true}, {spec.Mount{Kind: spec.Volume, ReadOnly: true}, false}, {spec.Mount{Kind: spec.Tmpfs}, false}, {spec.Mount{Kind: spec.Config}, false}} {
		if (spec.Service{Mounts: []spec.Mount{c.mount}}).WritesData() != c.want {
			t.Errorf("%+v", c.mount)
		}
	}
}

func TestSeveralThatWriteAreRefusedWithoutAWord(t *testing.T) {
	data := []spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/data"}}
	for says, c := range map[string]struct {
		service spec.Service
		want    int
	}{
		"one":               {spec.Service{Replicas: 1, Mounts: data}, 0},
		"two":               {spec.Service{Replicas: 2, Mounts: data}, 1},
		"two that may":      {spec.Service{Replicas: 2, Mounts: data, Shared: true}, 0},
		"two without data":  {spec.Service{Replicas: 2}, 0},
		"two that read":     {spec.Service{Replicas: 2, Mounts: []spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/data", ReadOnly: true}}}, 0},
		"two that do both":  {spec.Service{Replicas: 2, Mounts: append([]spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/more", ReadOnly: true}}, data...)}, 1},
		"two in one memory": {spec.Service{Replicas: 2, Mounts: []spec.Mount{{Kind: spec.Tmpfs, Target: "/data"}}}, 0},
	} {
		c.service.Name, c.service.Image = "db", "app:1"
		found := spec.Validate(spec.Project{Name: "shop", Services: []spec.Service{c.service}})
		if len(found) != c.want || c.want == 1 && (found[0].Path != "services.db.replicas" || !strings.Contains(found[0].Problem.Says, "2 containers of db would write to the same data (volumes: data)")) {
			t.Errorf("%s: %+v", says, found)
		}
	}
}

func FuzzStartOrderIsCompleteOrARing(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2})
	f.Add([]byte{0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, edges []byte) {
		p := spec.Project{}
		for i := range 5 {
			p.Services = append(p.Services, spec.Service{Name: string(rune('a' + i))})
		}
		for i := 0; i+1 < len(edges) && i < 40; i += 2 {
			from, to := &p.Services[edges[i]%5], p.Services[edges[i+1]%5].Name
			if edges[i] > 127 {
				from.Links = append(from.Links, spec.Link{To: to})
			} else {
				from.Needs = append(from.Needs, spec.Need{Service: to})
			}
		}
		order, ring := spec.StartOrder(p)
		if len(ring) > 0 {
			return
		}
		if len(order) != 5 {
			t.Fatalf("order is %v", order)
		}
		for _, s := range p.Services {
			for _, n := range s.Needs {
				if slices.Index(order, n.Service) > slices.Index(order, s.Name) {
					t.Errorf("%s comes before %s, which it needs: %v", s.Name, n.Service, order)
				}
			}
		}
	})
}

// What the guard would refuse at the start is told before.
func TestMountsThatLinksCouldLeadAstrayAreFound(t *testing.T) {
	volume := func(target string) spec.Mount { return spec.Mount{Kind: spec.Volume, Source: "v", Target: target} }
	memory := func(target string) spec.Mount { return spec.Mount{Kind: spec.Tmpfs, Target: target} }
	for name, c := range map[string]struct {
		mounts []spec.Mount
		says   string
	}{
		"beside":                {[]spec.Mount{volume("/data"), memory("/data2")}, ""},
		"in memory":             {[]spec.Mount{memory("/run"), volume("/run/kept")}, ""},
		"shared memory":         {[]spec.Mount{memory("/dev/shm")}, ""},
		"below a volume":        {[]spec.Mount{volume("/data/in"), volume("/data")}, "lies below /data"},
		"memory below a volume": {[]spec.Mount{volume("/data"), memory("/data/in")}, "lies below /data"},
		"over /etc/hosts":       {[]spec.Mount{volume("/etc")}, "the engine writes for each container"},
		"in /dev":               {[]spec.Mount{volume("/dev/shm")}, "the engine's to fill"},
	} {
		wrong := spec.Validate(spec.Project{Name: "a", Services: []spec.Service{{Name: "a", Image: "a", Replicas: 1, Mounts: c.mounts}}})
		if says := fmt.Sprint(wrong); (len(wrong) == 0) != (c.says == "") || !strings.Contains(says, c.says) {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

func TestServiceDoesNotMountMoreThanTheGuardTakes(t *testing.T) {
	for n, want := range map[int]int{spec.MaxMounts: 0, spec.MaxMounts + 1: 1} {
		s := spec.Service{Name: "a", Image: "a", Replicas: 1}
		for i := range n {
			s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Tmpfs, Target: fmt.Sprintf("/m%d", i)})
		}
		if wrong := spec.Validate(spec.Project{Name: "a", Services: []spec.Service{s}}); len(wrong) != want {
			t.Errorf("%d: %v", n, wrong)
		}
	}
}
