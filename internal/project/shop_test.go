package project_test

import (
	"havre/internal/project"
	"havre/internal/spec"
)

// shop is a project whose services serve.
func shop(services ...spec.Service) project.Record {
	r := project.Record{ID: "pppppppp", Environment: "prod", Name: "shop", Subnet: "10.87.0.0/24"}
	for _, s := range services {
		r.Declared.Services = append(r.Declared.Services, s)
		r.Services = append(r.Services, project.Service{
			ID: spec.ServiceID("id-" + s.Name), Name: s.Name, Active: 1, Target: 1,
			Rollouts: []project.Rollout{{Number: 1, State: project.Active, Spec: s}},
		})
	}
	return r
}

// updating has a rollout on its way for a service of r.
func updating(r project.Record, to spec.Service) project.Record {
	s := r.Service(to.Name)
	s.Target = s.Last() + 1
	s.Add(project.Rollout{Number: s.Target, State: project.Pending, Spec: to})
	return r
}

func svc(name string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{Name: name, Image: name + ":1", Replicas: 1}
	for _, c := range change {
		c(&s)
	}
	return s
}

func port(inner, outer uint16) func(*spec.Service) {
	return func(s *spec.Service) {
		s.Ports = append(s.Ports, spec.Port{Internal: inner, External: outer, Protocol: spec.TCP, Access: spec.Public})
	}
}

func at(domains ...spec.Domain) func(*spec.Service) {
	return func(s *spec.Service) { s.Domains = append(s.Domains, domains...) }
}

func domain(host string, inner uint16) func(*spec.Service) {
	return at(spec.Domain{Host: host, Port: inner})
}
