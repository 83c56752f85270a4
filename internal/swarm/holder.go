package swarm

import (
	"context"
	"fmt"

	"havre/internal/dockercall"
	"havre/internal/spec"
)

// Holder names the process of the machine that has a port of a protocol, ""
// when none does.
func (s *Swarm) Holder(ctx context.Context, port uint16, p spec.Protocol) (string, error) {
	var answer dockercall.HolderAnswer
	err := s.call(ctx, dockercall.HolderPath, dockercall.Holder{Port: port, Protocol: dockercall.PortProtocol(p)}, &answer)
	if err != nil || answer.PID == 0 {
		return "", err
	}
	return fmt.Sprintf("%s (pid %d)", answer.Name, answer.PID), nil
}
