package swarm

import (
	"context"
	"fmt"

	"havre/internal/dockercall"
)

// Holder names the process of the machine that listens on a TCP port, "" when
// none does.
func (s *Swarm) Holder(ctx context.Context, port uint16) (string, error) {
	var answer dockercall.HolderAnswer
	err := s.call(ctx, dockercall.HolderPath, dockercall.Holder{Port: port}, &answer)
	if err != nil || answer.PID == 0 {
		return "", err
	}
	return fmt.Sprintf("%s (pid %d)", answer.Name, answer.PID), nil
}
