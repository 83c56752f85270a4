package geard

import "havre/internal/problem"

// Field is a key of the deployment JSON and what Havre makes of it.
type Field struct {
	Path string // Containers[].Name
	Type string // in words
	Says string // what it does here
}

// Fields is every key geard knew, and the seed's Keys. Letter case does not
// matter. Any other key is a warning: geard ignored it too.
var Fields = []Field{
	{"Containers", "list", "the services"},
	{"Containers[].Name", "string", "the service's name; others reach it by that name"},
	{"Containers[].Image", "string", "a name in the environment, or one that is made or loaded before"},
	{"Containers[].Count", "number", "how many containers; absent means 0 as in geard, with a warning"},
	{"Containers[].PublicPorts", "list", "ports that are reachable from everywhere"},
	{"Containers[].PublicPorts[].Internal", "number", "the port inside the container"},
	{"Containers[].PublicPorts[].External", "number", "the port on the machine; 0 or absent: a free one of 4000-59999 that stays with the service"},
	{"Containers[].Links", "list", "services whose address this one is told by variables"},
	{"Containers[].Links[].To", "string", "the service linked to, perhaps itself"},
	{"Containers[].Links[].Ports", "list of numbers", "which ports of the target; absent: all its public ports"},
	{"Containers[].Links[].AliasPorts", "list", "ports of the target; the other number for the source comes later (warning)"},
	{"Containers[].Links[].AliasPorts[].Internal", "number", "a port of the target"},
	{"Containers[].Links[].AliasPorts[].External", "number", "comes later (warning): the source uses the target's own number"},
	{"Containers[].Links[].NonLocal", "true or false", "comes later (warning): the source uses the target's name"},
	{"Containers[].Links[].MatchPort", "true or false", "comes later (warning): with names the port is always the target's own"},
	{"Containers[].Environment", "list", "variables"},
	{"Containers[].Environment[].Name", "string", "the variable's name"},
	{"Containers[].Environment[].Value", "string", "its value"},
	{"Containers[].Affinity", "string", "no effect (warning), as in geard"},
	{"Instances", "list", "geard's record of what it placed; taken as a hint"},
	{"Instances[].Id", "string", "checked: 4 to 24 of a-z A-Z 0-9 _ - . ; Havre names containers itself"},
	{"Instances[].Image", "string", "the container's image counts; another one here is a warning"},
	{"Instances[].From", "string", "the container it belongs to; an unknown one is dropped with a warning, as geard did"},
	{"Instances[].On", "string", "no effect (warning): Havre chooses the machine"},
	{"Instances[].Ports", "list", "ports that were given"},
	{"Instances[].Ports[].Internal", "number", "the port inside the container"},
	{"Instances[].Ports[].External", "number", "kept as the service's port where the container's External is 0"},
	{"Instances[].Ports[].Target", "object", "a loopback address for links; those come later (warning when links use it)"},
	{"Instances[].Ports[].Target.Host", "string", "see Target"},
	{"Instances[].Ports[].Target.Port", "number", "see Target"},
	{"Instances[].Environment", "list", "the container's variables count; others here are a warning"},
	{"Instances[].Environment[].Name", "string", "see Environment"},
	{"Instances[].Environment[].Value", "string", "see Environment"},
	{"IdPrefix", "string", "no effect (warning): containers are addressed by their service's name"},
	{"RandomizeIds", "true or false", "no effect (warning): containers are addressed by their service's name"},
	{"Keys", "list", "SSH keys that open every service of the file (geard ignored them)"},
	{"Keys[].Type", "string", "authorized_keys"},
	{"Keys[].Value", "string", "a line of an authorized_keys file; an unusable one is a warning"},
}

// children gives the keys below a path.
func children(path string) []string {
	var names []string
	for _, f := range Fields {
		if rest, ok := below(f.Path, path); ok {
			names = append(names, rest)
		}
	}
	return names
}

func below(path, parent string) (string, bool) {
	if parent != "" {
		parent += "."
	}
	if len(path) <= len(parent) || path[:len(parent)] != parent {
		return "", false
	}
	rest := path[len(parent):]
	for _, c := range rest {
		if c == '.' || c == '[' {
			return "", false
		}
	}
	return rest, true
}

// remedyForUnknown names the word that was probably meant.
func remedyForUnknown(key string, known []string) string {
	if near := problem.Nearest(key, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "take it out"
}
