package dockercall

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"havre/internal/pattern"
)

// MaxDockerfile is the most that is read of a Dockerfile; a line may be at
// most maxLine long once it is joined, which every engine can read.
const (
	MaxDockerfile = 1 << 20
	maxLine       = 48 << 10
)

// Dockerfile is a Dockerfile that was understood as far as building it
// safely needs. It is written afresh, one instruction a line, so that the
// engine's own rules for joining lines, comments and directives do not apply.
type Dockerfile struct {
	instructions []instruction
	stages       []stage
	target       int // the stage that becomes the image
}

// stage is what lies between two FROMs.
type stage struct {
	name    string // "" has none
	above   int    // the stage that it starts from; -1 is an image
	image   string // the image that it starts from, as the person wrote it
	runs    bool   // it has a RUN
	volumes []string
}

// instruction is one line. Of image and stage, what is set replaces the
// text when it is written.
type instruction struct {
	name  string
	flags []string
	args  string

	image string // FROM: an image of the environment, as the person wrote it
	stage string // FROM: … AS stage
	from  string // COPY --from: an image of the environment
}

// ParseDockerfile understands a Dockerfile, with the build arguments that
// its FROM lines may use and the stage to stop at.
//
// Errors: Invalid with the rule that was broken.
func ParseDockerfile(text []byte, args BuildArgs, target StageName) (*Dockerfile, error) {
	if len(text) > MaxDockerfile {
		return nil, refuse(TooBig, "the Dockerfile has more than %d bytes", MaxDockerfile)
	}
	lines, err := logicalLines(text)
	if err != nil {
		return nil, err
	}
	d := &Dockerfile{}
	globals := map[string]string{}
	for _, line := range lines {
		if err := d.add(line, globals, args); err != nil {
			return nil, err
		}
	}
	if len(d.stages) == 0 {
		return nil, refuse(BuildSyntax, "the Dockerfile has no FROM")
	}
	if d.target = len(d.stages) - 1; target != "" {
		if d.target = d.stageNamed(string(target)); d.target < 0 {
			return nil, refuse(BuildSyntax, "the Dockerfile has no stage %s", target)
		}
	}
	return d, d.judgeVolumes()
}

// stageNamed is the number of a stage; -1 when there is none.
func (d *Dockerfile) stageNamed(name string) int {
	return slices.IndexFunc(d.stages, func(s stage) bool { return s.name == name && name != "" })
}

var (
	directive    = pattern.New(`^#[ \t]*[A-Za-z][A-Za-z0-9]*[ \t]*=`)
	continuation = pattern.New(`\\[ \t]*$`)
)

// logicalLines joins continued lines and leaves comments out.
func logicalLines(text []byte) ([]string, error) {
	if !utf8.Valid(text) {
		return nil, refuse(BuildSyntax, "the Dockerfile is not UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var lines []string
	var joined strings.Builder
	open := false
	for raw := range strings.Lines(string(text)) {
		line := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
		if err := plainText(line); err != nil {
			return nil, err
		}
		trimmed := strings.TrimLeft(line, " \t")
		if len(lines) == 0 && !open && directive.MatchString(trimmed) {
			return nil, refuse(BuildSyntax, "parser directives are not allowed: %.60s", trimmed)
		}
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if !open {
			line = trimmed
		}
		at := continuation.FindStringIndex(line)
		if open = at != nil; open {
			joined.WriteString(line[:at[0]])
			continue
		}
		joined.WriteString(line)
		lines = append(lines, joined.String())
		joined.Reset()
	}
	if open {
		return nil, refuse(BuildSyntax, "the last line of the Dockerfile is continued by nothing")
	}
	return lines, nil
}

// plainText refuses the spaces that only some parsers take for spaces.
func plainText(line string) error {
	for _, r := range line {
		if r != ' ' && r != '\t' && (unicode.IsSpace(r) || unicode.IsControl(r)) {
			return refuse(BuildSyntax, "the Dockerfile holds the odd character %U", r)
		}
	}
	return nil
}

// known are the instructions that pass; ONBUILD is told apart for its rule.
var known = []string{"FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "ARG", "STOPSIGNAL", "HEALTHCHECK", "SHELL", "MAINTAINER"}

func (d *Dockerfile) add(line string, globals map[string]string, args BuildArgs) error {
	name, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	rest := strings.TrimSpace(line[len(name):])
	i := instruction{name: strings.ToUpper(name), args: rest}
	switch {
	case i.name == "ONBUILD":
		return refuse(BuildOnBuild, "ONBUILD adds instructions to builds of others")
	case !slices.Contains(known, i.name):
		return refuse(BuildSyntax, "the instruction %.30q is not known here", name)
	case len(line) > maxLine:
		return refuse(TooBig, "a line of the Dockerfile has more than %d bytes", maxLine)
	case strings.HasSuffix(rest, `\`):
		return refuse(BuildSyntax, "a line of the Dockerfile ends in a lone backslash")
	case len(d.stages) == 0 && i.name != "FROM" && i.name != "ARG":
		return refuse(BuildSyntax, "%s stands before the first FROM", i.name)
	}
	if err := i.takeFlags(); err != nil {
		return err
	}
	if err := d.judge(&i, globals, args); err != nil {
		return err
	}
	if i.name == "VOLUME" {
		return d.addVolume(i.args)
	}
	d.instructions = append(d.instructions, i)
	return nil
}

// addVolume keeps a VOLUME for the end of the image's last stage. Where it
// stands, the engine would give each RUN behind it a volume, made by the engine
// and mounted wherever links of the image lead.
func (d *Dockerfile) addVolume(args string) error {
	now := &d.stages[len(d.stages)-1]
	now.volumes = append(now.volumes, args)
	return noHeredoc(args)
}

// judgeVolumes refuses a VOLUME that would mean something else at the end.
func (d *Dockerfile) judgeVolumes() error {
	for n := d.target; n >= 0; n = d.stages[n].above {
		for _, v := range d.stages[n].volumes {
			if n != d.target && strings.Contains(v, "$") {
				return refuse(BuildSyntax, "VOLUME %.80s stands in a stage that another starts from: write the path out", v)
			}
		}
	}
	return nil
}

// flagForms are the flags that an instruction may have. All others, of RUN
// above all, reach for mounts, networks and rights.
var flagForms = map[string]*pattern.Pattern{
	"COPY":        pattern.New(`^--(chown=[A-Za-z0-9_.:${}-]+|from=[A-Za-z0-9_.:/-]+)$`),
	"ADD":         pattern.New(`^--chown=[A-Za-z0-9_.:${}-]+$`),
	"HEALTHCHECK": pattern.New(`^--(interval|timeout|start-period|retries)=[0-9a-z.]+$`),
}

func (i *instruction) takeFlags() error {
	for strings.HasPrefix(i.args, "--") {
		word, rest, _ := strings.Cut(strings.ReplaceAll(i.args, "\t", " "), " ")
		form := flagForms[i.name]
		if form == nil || !form.MatchString(word) {
			return refuse(BuildFlag, "the flag %.60q of %s is not allowed", word, i.name)
		}
		i.flags = append(i.flags, word)
		i.args = strings.TrimSpace(i.args[len(i.args)-len(rest):])
	}
	return nil
}

func (d *Dockerfile) judge(i *instruction, globals map[string]string, args BuildArgs) error {
	switch i.name {
	case "FROM":
		return d.judgeFrom(i, globals, args)
	case "ARG":
		if len(d.stages) == 0 {
			return global(i.args, globals, args)
		}
		return d.judgeVariable(i)
	case "ENV":
		return d.judgeVariable(i)
	case "COPY":
		return d.judgeCopy(i)
	case "ADD":
		return judgeAdd(i.args)
	case "LABEL":
		return judgeLabels(i.args)
	case "RUN":
		d.stages[len(d.stages)-1].runs = true
		return noHeredoc(i.args)
	}
	return nil
}

// judgeVariable refuses to set a variable again that a VOLUME before it has:
// the VOLUME is written behind it.
func (d *Dockerfile) judgeVariable(i *instruction) error {
	for _, v := range d.stages[len(d.stages)-1].volumes {
		parts := strings.Split(v, "$")
		for _, part := range parts[1:] {
			if name := variableName.FindStringSubmatch(part); name == nil || strings.Contains(i.args, name[1]) {
				return refuse(BuildSyntax, "%s stands behind VOLUME %.80s, which has a variable: put the VOLUME last", i.name, v)
			}
		}
	}
	return nil
}

// variableName is what stands behind a $.
var variableName = pattern.New(`^\{?([A-Za-z_][A-Za-z0-9_]*)`)

// noHeredoc refuses what newer parsers take for the start of a document
// whose lines are no instructions.
func noHeredoc(args string) error {
	if strings.Contains(args, "<<") {
		return refuse(BuildSyntax, "here-documents (<<) are not allowed; use printf, or COPY a file")
	}
	return nil
}

var globalForm = pattern.New(`^([A-Za-z_][A-Za-z0-9_]*)(=("[^"$\\]*"|'[^'$\\]*'|[^"'$\\\s]*))?$`)

// global takes an ARG that stands before the first FROM.
func global(text string, globals map[string]string, args BuildArgs) error {
	m := globalForm.FindStringSubmatch(text)
	if m == nil {
		return refuse(BuildSyntax, "before FROM, ARG takes one plain NAME=value, not %.80q", text)
	}
	globals[m[1]] = strings.Trim(m[3], `"'`)
	if v := args[m[1]]; v != nil {
		globals[m[1]] = *v
	}
	return nil
}

var (
	variable  = pattern.New(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)
	baseForm  = pattern.New(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$`)
	indexForm = pattern.New(`^(0|[1-9][0-9]{0,3})$`)
)

func (d *Dockerfile) judgeFrom(i *instruction, globals map[string]string, args BuildArgs) error {
	words := strings.Fields(i.args)
	switch {
	case len(words) == 3 && strings.EqualFold(words[1], "AS"):
		i.stage = strings.ToLower(words[2])
		if err := StageName(i.stage).check(); err != nil || i.stage == "scratch" || d.stageNamed(i.stage) >= 0 {
			return refuse(BuildSyntax, "%.60q cannot name a stage", words[2])
		}
	case len(words) != 1:
		return refuse(BuildSyntax, "FROM takes an image, and perhaps AS and a name")
	}
	base := variable.ReplaceAllStringFunc(words[0], func(v string) string {
		if value, ok := globals[strings.Trim(v, "${}")]; ok {
			return value
		}
		return "$"
	})
	if lower := strings.ToLower(base); d.stageNamed(lower) >= 0 {
		base = lower
	}
	if !baseForm.MatchString(base) {
		return refuse(BuildFrom, "FROM %.80q names no image of the environment", words[0])
	}
	above := d.stageNamed(base)
	if i.args = base; base != "scratch" && above < 0 {
		i.image = base
	}
	d.stages = append(d.stages, stage{name: i.stage, above: above, image: i.image})
	return nil
}

// judgeCopy sorts what COPY --from names: an earlier stage, or an image.
func (d *Dockerfile) judgeCopy(i *instruction) error {
	for _, f := range i.flags {
		from, ok := strings.CutPrefix(f, "--from=")
		if !ok {
			continue
		}
		if i.from != "" {
			return refuse(BuildFlag, "COPY takes one --from")
		}
		earlier := d.stages[:len(d.stages)-1]
		if n, err := strconv.Atoi(from); indexForm.MatchString(from) && err == nil && n < len(earlier) {
			continue
		}
		if n := d.stageNamed(strings.ToLower(from)); n >= 0 && n < len(earlier) {
			continue
		}
		if !baseForm.MatchString(from) || indexForm.MatchString(from) || from == "scratch" {
			return refuse(BuildCopyFrom, "COPY --from=%.60s names neither an earlier stage nor an image of the environment", from)
		}
		i.from = from
	}
	return noHeredoc(i.args)
}

// judgeAdd allows files of the context only. The engine would fetch a URL
// with the host's network, loopback and all.
func judgeAdd(args string) error {
	words := []string{args}
	if strings.HasPrefix(args, "[") {
		v, err := parseJSON([]byte(args))
		list, ok := v.([]any)
		if err != nil || !ok {
			return refuse(BuildSyntax, "ADD has a list that is none")
		}
		words = nil
		for _, e := range list {
			s, ok := e.(string)
			if !ok {
				return refuse(BuildSyntax, "ADD has a list that is not of texts")
			}
			words = append(words, s)
		}
	} else if strings.ContainsAny(args, `"'`) {
		return refuse(BuildRemoteAdd, "ADD takes plain names; use its list form for odd ones")
	}
	for _, w := range words {
		if strings.ContainsAny(w, ":$\\") {
			return refuse(BuildRemoteAdd, "ADD takes files of the context, no URLs and no variables: %.80q", w)
		}
	}
	return noHeredoc(args)
}

var labelWord = pattern.New(`^("?)([A-Za-z0-9_./-]+)("?)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'\\]*)(?:[ \t]+|$)`)

// judgeLabels reads key=value pairs; a key is never put together from
// variables, quotes or escapes.
func judgeLabels(args string) error {
	for rest := args; rest != ""; {
		m := labelWord.FindStringSubmatch(rest)
		if m == nil || m[1] != m[3] {
			return refuse(BuildSyntax, "LABEL takes plain key=value pairs: %.80q", rest)
		}
		if Reserved(m[2]) {
			return refuse(ReservedLabel, "the label %.60q is reserved", m[2])
		}
		rest = rest[len(m[0]):]
	}
	return nil
}

// Images are the names that FROM and COPY --from mean in the environment.
func (d *Dockerfile) Images() []string {
	var names []string
	for _, i := range d.instructions {
		for _, n := range []string{i.image, i.from} {
			if n != "" && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// RunsIn are those of Images that a RUN works in, in whatever stage.
func (d *Dockerfile) RunsIn() []string {
	var names []string
	for n, s := range d.stages {
		for ; s.runs && n >= 0; n = d.stages[n].above {
			if name := d.stages[n].image; name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// writeVolumes writes the VOLUMEs of the image that is built: its stage's, and
// those of the stages that it starts from.
func (d *Dockerfile) writeVolumes(out *bytes.Buffer) {
	var all []string
	for n := d.target; n >= 0; n = d.stages[n].above {
		all = append(slices.Clone(d.stages[n].volumes), all...)
	}
	for _, v := range all {
		out.WriteString("VOLUME " + v + "\n")
	}
}

// Write writes the Dockerfile afresh, with each image by its id, and each
// VOLUME at the end of the stage that becomes the image.
func (d *Dockerfile) Write(ids map[string]ImageID) []byte {
	var out bytes.Buffer
	stage := -1
	for _, i := range d.instructions {
		if i.name == "FROM" {
			if stage == d.target {
				d.writeVolumes(&out)
			}
			stage++
		}
		out.WriteString(i.name)
		for _, f := range i.flags {
			if i.from != "" && strings.HasPrefix(f, "--from=") {
				f = "--from=" + string(ids[i.from])
			}
			out.WriteString(" " + f)
		}
		args := i.args
		if i.image != "" {
			args = string(ids[i.image])
		}
		out.WriteString(" " + args)
		if i.stage != "" {
			out.WriteString(" AS " + i.stage)
		}
		out.WriteString("\n")
	}
	if stage == d.target {
		d.writeVolumes(&out)
	}
	return out.Bytes()
}
