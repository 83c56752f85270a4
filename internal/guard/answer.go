package guard

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// deed carries a call out and writes the answer. An error means that nothing
// has been written yet.
type deed func(g *Guard, w http.ResponseWriter, r *http.Request, call dockercall.Call) error

// deeds are the calls whose answers need more than passing on.
var deeds = map[dockercall.Kind]deed{
	dockercall.PingKind:          (*Guard).ping,
	dockercall.VersionKind:       (*Guard).version,
	dockercall.InfoKind:          (*Guard).info,
	dockercall.EventsKind:        (*Guard).events,
	dockercall.NetworkCreateKind: (*Guard).networkCreate,
	dockercall.NetworkListKind:   keeping(labelsAt("Labels")),
	dockercall.ServiceListKind:   keeping(labelsAt("Spec", "Labels")),
	dockercall.TaskListKind:      keeping(labelsAt("Spec", "ContainerSpec", "Labels")),
	dockercall.ContainerListKind: keeping(labelsAt("Labels")),
	dockercall.ConfigListKind:    keeping(labelsAt("Spec", "Labels")),
	dockercall.SecretListKind:    (*Guard).secretList,
	dockercall.ImageListKind:     (*Guard).imageList,
	dockercall.ImageInspectKind:  (*Guard).imageInspect,
	dockercall.ExecStartKind:     (*Guard).execStart,
	dockercall.ImageLoadKind:     doing((*Guard).load),
	dockercall.ImageBuildKind:    doing((*Guard).build),
	dockercall.ImagePullKind:     doing((*Guard).pull),
	dockercall.SwarmKind:         answering((*Guard).swarm),
	dockercall.VolumeEnsureKind:  answering((*Guard).volumeEnsure),
	dockercall.VolumeListKind:    answering((*Guard).volumeList),
	dockercall.VolumeRemoveKind:  answering((*Guard).volumeRemove),
	dockercall.VolumeSettleKind:  answering((*Guard).volumeSettle),
	dockercall.VolumeUsageKind:   answering((*Guard).volumeUsage),
	dockercall.VolumeCleanKind:   answering((*Guard).volumeClean),
	dockercall.ConventionsKind:   answering((*Guard).conventions),
	dockercall.ContainerPathKind: doing((*Guard).containerPath),
	dockercall.ContainerGetKind:  doing((*Guard).containerGet),
	dockercall.ContainerPutKind:  doing((*Guard).containerPut),
	dockercall.PortalKind:        answering((*Guard).portalPlace),
	dockercall.FirewallKind:      answering((*Guard).firewall),
	dockercall.PurgeKind:         answering((*Guard).purge),
	dockercall.HolderKind:        answering((*Guard).holder),
	dockercall.ForeignListKind:   answering((*Guard).foreignList),
	dockercall.ForeignTagKind:    answering((*Guard).foreignTag),
	dockercall.ForeignSwitchKind: answering((*Guard).foreignSwitch),
	dockercall.ForeignDataKind:   answering((*Guard).foreignData),
	dockercall.ForeignRemoveKind: answering((*Guard).foreignRemove),
}

// carryOut writes the call afresh to the engine, and its answer back.
func (g *Guard) carryOut(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	if do := deeds[call.Kind()]; do != nil {
		return do(g, w, r, call)
	}
	if dockercall.Own(call.Kind()) || dockercall.Streams(call.Kind()) {
		return errors.New("this call is not for the engine as it is")
	}
	a, err := g.send(r, call)
	if err != nil {
		return err
	}
	pass(w, a)
	return nil
}

// send writes call to the engine; the caller closes the answer.
func (g *Guard) send(r *http.Request, call dockercall.Call) (*http.Response, error) {
	wire, err := dockercall.Write(call)
	if err != nil {
		return nil, err
	}
	out, err := g.engine.request(r.Context(), wire, nil)
	if err != nil {
		return nil, err
	}
	return g.engine.do(out)
}

// passed are the headers of the engine's that callers get to see.
var passed = []string{"Content-Type", "Api-Version", "Ostype", "Server", "Docker-Experimental"}

// pass hands the engine's answer on as it comes, a line as soon as it is there.
func pass(w http.ResponseWriter, a *http.Response) {
	defer a.Body.Close()
	for _, h := range passed {
		if v := a.Header.Get(h); v != "" {
			w.Header().Set(h, v)
		}
	}
	w.WriteHeader(a.StatusCode)
	out := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := a.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			if err := out.Flush(); err != nil {
				return
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			// An answer that breaks off must not look like a whole one.
			panic(http.ErrAbortHandler)
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(text)
	return err
}

// ping answers in the engine's place, so that clients negotiate to the one
// version; it asks the engine whether it is there.
func (g *Guard) ping(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	a, err := g.send(r, &dockercall.Ping{})
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := failed(a); err != nil {
		return err
	}
	version, err := g.engine.speaks(r.Context())
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Api-Version", version)
	h.Set("Ostype", "linux")
	h.Set("Builder-Version", "1")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if s := a.Header.Get("Swarm"); s != "" {
		h.Set("Swarm", s)
	}
	if p, ok := call.(*dockercall.Ping); ok && p.Head {
		return nil
	}
	_, err = io.WriteString(w, "OK")
	return err
}

func (g *Guard) version(w http.ResponseWriter, r *http.Request, _ dockercall.Call) error {
	var v struct {
		Version, Os, Arch, KernelVersion string
		ApiVersion, MinAPIVersion        string
	}
	if err := g.engine.get(r.Context(), "/version", "", &v); err != nil {
		return err
	}
	spoken, err := g.engine.speaks(r.Context())
	v.ApiVersion, v.MinAPIVersion = spoken, spoken
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

// info cuts the engine's answer to what Havre shows and decides by. Join
// addresses, registries and plugins are nobody's business.
func (g *Guard) info(w http.ResponseWriter, r *http.Request, _ dockercall.Call) error {
	var v struct {
		ID, Name, ServerVersion, OperatingSystem, OSType, Architecture, KernelVersion string
		Driver, CgroupVersion, CgroupDriver                                           string
		NCPU                                                                          int
		MemTotal                                                                      int64
		Swarm                                                                         struct {
			NodeID           string
			LocalNodeState   string
			ControlAvailable bool
			Error            string
			Nodes, Managers  int
		}
	}
	if err := g.engine.get(r.Context(), "/info", "", &v); err != nil {
		return err
	}
	return writeJSON(w, v)
}

// ask writes call to the engine and reads its answer into v.
func (g *Guard) ask(r *http.Request, call dockercall.Call, v any) error {
	a, err := g.send(r, call)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := failed(a); err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(a.Body, maxAnswer)).Decode(v)
}

// secretList passes on what secrets are called and whose they are. An engine
// leaves out what is in them; should it ever not, nobody sees it here.
func (g *Guard) secretList(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	type told struct {
		ID   string
		Spec struct {
			Name   string
			Labels map[string]string
		}
	}
	var items []told
	if err := g.ask(r, call, &items); err != nil {
		return err
	}
	kept := []told{}
	for _, item := range items {
		if policy.Owned(g.instance, item.Spec.Labels) {
			kept = append(kept, item)
		}
	}
	return writeJSON(w, kept)
}

// keeping passes on the items of a list that are this instance's, by their
// labels.
func keeping(labels func(json.RawMessage) map[string]string) deed {
	return func(g *Guard, w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
		var items []json.RawMessage
		if err := g.ask(r, call, &items); err != nil {
			return err
		}
		kept := []json.RawMessage{}
		for _, item := range items {
			if policy.Owned(g.instance, labels(item)) {
				kept = append(kept, item)
			}
		}
		return writeJSON(w, kept)
	}
}

// labelsAt reads the labels at a path of keys.
func labelsAt(keys ...string) func(json.RawMessage) map[string]string {
	return func(item json.RawMessage) map[string]string {
		for _, k := range keys {
			var o map[string]json.RawMessage
			if json.Unmarshal(item, &o) != nil {
				return nil
			}
			item = o[k]
		}
		var labels map[string]string
		if json.Unmarshal(item, &labels) != nil {
			return nil
		}
		return labels
	}
}

// imageList keeps the environments' images and their names in havre.invalid.
func (g *Guard) imageList(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	var items []map[string]any
	if err := g.ask(r, call, &items); err != nil {
		return err
	}
	kept := []map[string]any{}
	for _, item := range items {
		if cutNames(item) {
			kept = append(kept, item)
		}
	}
	return writeJSON(w, kept)
}

// cutNames takes other people's names off an image, and tells whether any
// are left.
func cutNames(item map[string]any) bool {
	names, _ := item["RepoTags"].([]any)
	ours := []any{}
	for _, n := range names {
		if s, ok := n.(string); ok && dockercall.Ref(s).Environment() != "" {
			ours = append(ours, s)
		}
	}
	item["RepoTags"], item["RepoDigests"] = ours, []any{}
	return len(ours) > 0
}

func (g *Guard) imageInspect(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	var item map[string]any
	if err := g.ask(r, call, &item); err != nil {
		return err
	}
	cutNames(item)
	return writeJSON(w, item)
}

// doing makes a deed of a method for one concrete type.
func doing[T dockercall.Call](do func(*Guard, http.ResponseWriter, *http.Request, T) error) deed {
	return func(g *Guard, w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
		t, ok := call.(T)
		if !ok {
			return problem.New(problem.Internal, "%s has an unexpected form", call.Kind())
		}
		return do(g, w, r, t)
	}
}

// answering makes a deed of a method that gives its answer as a value.
func answering[T dockercall.Call, A any](do func(*Guard, *http.Request, T) (A, error)) deed {
	return doing(func(g *Guard, w http.ResponseWriter, r *http.Request, call T) error {
		a, err := do(g, r, call)
		if err != nil {
			return err
		}
		return writeJSON(w, a)
	})
}
