package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// heavy is what no test of a copied tree reads, below the root of the tree.
var heavy = []string{".git", "bin"}

// copyTree writes the tree below root to to, with the broken files in it: for
// tests that read the tree themselves, whom no overlay of the compiler reaches.
func (m mutation) copyTree(root, to string) error {
	broken, err := m.broken(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		switch there := filepath.Join(to, name); {
		case d.IsDir() && (slices.Contains(heavy, name) || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(there, 0o755)
		case !d.Type().IsRegular():
			return nil
		default:
			return copyFile(p, there, broken[filepath.ToSlash(name)])
		}
	})
}

// copyFile writes what is in from, or instead of it, to to.
func copyFile(from, to, instead string) error {
	text := []byte(instead)
	if instead == "" {
		var err error
		if text, err = os.ReadFile(from); err != nil {
			return err
		}
	}
	i, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, i.Mode().Perm())
}
