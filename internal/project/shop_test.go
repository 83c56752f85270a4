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
