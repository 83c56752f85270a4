package server

import (
	"context"
	"net/http"

	"havre/internal/api"
)

func (s *Server) volumes(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Volumes == nil {
		return absent("volumes")
	}
	env, err := environment(r)
	if err != nil {
		return err
	}
	whole, err := truth(r, "whole")
	if err != nil {
		return err
	}
	all, err := s.set.Backend.Volumes.VolumeList(r.Context(), env, r.URL.Query().Get("project"), whole)
	if err != nil {
		return err
	}
	if all == nil {
		all = []api.Volume{}
	}
	return answer(w, all)
}

func (s *Server) cleanVolume(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Volumes == nil {
		return absent("volumes")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	var done api.Cleaned
	whole, err := s.outlive(r, func(ctx context.Context) (err error) {
		done, err = s.set.Backend.Volumes.VolumeClean(ctx, t.Environment, t.Name)
		return err
	})
	if err != nil || !whole {
		return err
	}
	return answer(w, done)
}

func (s *Server) removeVolume(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Volumes == nil {
		return absent("volumes")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	return s.removed(w, r, func(ctx context.Context) (api.Removed, error) {
		return s.set.Backend.Volumes.VolumeRemove(ctx, t.Environment, t.Name)
	})
}
