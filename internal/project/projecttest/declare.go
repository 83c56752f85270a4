package projecttest

import "havre/internal/spec"

// Service declares a service of an image named like it.
func Service(name string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{Name: name, Image: name + ":1", Replicas: 1}
	for _, c := range change {
		c(&s)
	}
	return s
}

// Port publishes an inner port under an outer number, 0 for any.
func Port(inner, outer uint16) func(*spec.Service) {
	return func(s *spec.Service) {
		s.Ports = append(s.Ports, spec.Port{Internal: inner, External: outer, Protocol: spec.TCP, Access: spec.Public})
	}
}

// Domain leads a domain to an inner port.
func Domain(host string, inner uint16) func(*spec.Service) {
	return Domains(spec.Domain{Host: host, Port: inner})
}

// Domains leads domains to a service.
func Domains(all ...spec.Domain) func(*spec.Service) {
	return func(s *spec.Service) { s.Domains = append(s.Domains, all...) }
}
