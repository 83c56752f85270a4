package dockercall

import (
	"reflect"
)

// Deed is what a call does, for the record: which objects it is about, what it
// mounts, runs and reads. It has no values of variables and nothing of what is
// in secrets, configs and archives.
type Deed struct {
	Environment Environment `json:"environment,omitempty"`
	Project     ProjectID   `json:"project,omitempty"`
	Service     ServiceID   `json:"service,omitempty"`
	Volume      VolumeName  `json:"volume,omitempty"`
	Container   ContainerID `json:"container,omitempty"` // that is attached to the object
	Images      []string    `json:"images,omitempty"`
	Mounts      []string    `json:"mounts,omitempty"` // source:target, and :ro
	Command     []string    `json:"command,omitempty"`
	Check       []string    `json:"check,omitempty"` // the command that tells whether it is healthy
	File        string      `json:"file,omitempty"`  // a path in the container, or a directory of the machine
}

// DeedOf tells what a call does. A type that is not named here is left out:
// only so a new field cannot bring a secret into the record.
func DeedOf(call Call) Deed {
	var d Deed
	d.add(reflect.ValueOf(call))
	return d
}

func (d *Deed) add(v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || v.IsZero() {
		return
	}
	switch x := v.Interface().(type) {
	case Environment:
		d.Environment = x
	case ProjectID:
		d.Project = x
	case ServiceID:
		d.Service = x
	case VolumeName:
		d.Volume = x
	case ContainerID:
		d.Container = x
	case Inside:
		d.File = string(x)
	case ImageID, ImageName, RegistryName, Ref:
		d.Images = append(d.Images, v.String())
	case Labels:
		d.AddLabels(x)
	case Mount:
		d.mount(first(x.Source, string(x.Type)), x.Target, x.ReadOnly)
	case ConfigRef:
		d.file("config", x.ConfigName, x.File)
	case SecretRef:
		d.file("secret", x.SecretName, x.File)
	case Health:
		d.Check = texts(x.Test)
	case ExecSpec:
		d.Command = texts(x.Cmd)
	default:
		d.addWhole(v)
	}
}

// addWhole is for what has parts.
func (d *Deed) addWhole(v reflect.Value) {
	switch x := v.Interface().(type) {
	case ContainerBody:
		d.Command = texts(x.Entrypoint, x.Cmd)
	case ContainerSpec:
		d.Command = texts(x.Command, x.Args)
	case ForeignData:
		d.File = string(x.Path)
	case ImageTag:
		d.Images = append(d.Images, string(x.Image), x.Repo+":"+x.Tag)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "ID" { // that is the object itself; see Object
				d.add(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			d.add(v.Index(i))
		}
	}
}

// AddLabels adds whose an object is by its labels.
func (d *Deed) AddLabels(l Labels) {
	d.Environment = first(d.Environment, Environment(l[EnvironmentLabel]))
	d.Project = first(d.Project, ProjectID(l[ProjectLabel]))
	d.Service = first(d.Service, ServiceID(l[ServiceLabel]))
}

func first[T ~string](a, b T) T {
	if a != "" {
		return a
	}
	return b
}

func (d *Deed) mount(source string, target Path, readOnly bool) {
	m := source + ":" + string(target)
	if readOnly {
		m += ":ro"
	}
	d.Mounts = append(d.Mounts, m)
}

func (d *Deed) file(what string, name ObjectName, at *ConfigFile) {
	if at != nil {
		d.mount(what+" "+string(name), at.Name, true)
	}
}

func texts(lists ...[]Word) []string {
	var all []string
	for _, list := range lists {
		for _, w := range list {
			all = append(all, string(w))
		}
	}
	return all
}
