// Reads cases of one JSON object a line: a tree, a checkpoint and proofs that Counterfoil made. Checks them with golang.org/x/mod, and answers
// each with what x/mod makes of the same tree: checkpoint, proofs, hashes of tiles; or with what it refused.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type testCase struct {
	Seed        string      `json:"seed"` // leaf i is the text "<seed>/<i>"
	Size        int64       `json:"size"`
	OldSize     int64       `json:"oldSize"`
	Index       int64       `json:"index"`
	Vkey        string      `json:"vkey"`
	Skey        string      `json:"skey"`
	Checkpoint  string      `json:"checkpoint"`
	Inclusion   []tlog.Hash `json:"inclusion"`
	Consistency []tlog.Hash `json:"consistency"`
	OldRoot     tlog.Hash   `json:"oldRoot"`
}

type answer struct {
	Refused     string      `json:"refused,omitempty"`
	Checkpoint  string      `json:"checkpoint"`
	Inclusion   []tlog.Hash `json:"inclusion"`
	Consistency []tlog.Hash `json:"consistency"`
	Tiles       [][2]string `json:"tiles"` // path, SHA-256
}

type tree []tlog.Hash

func (t tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = t[index]
	}
	return out, nil
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var c testCase
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			out.Encode(answer{Refused: err.Error()})
			continue
		}
		a, err := run(c)
		if err != nil {
			a = answer{Refused: err.Error()}
		}
		out.Encode(a)
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(c testCase) (answer, error) {
	var a answer
	var t tree
	for i := int64(0); i < c.Size; i++ {
		hashes, err := tlog.StoredHashes(i, leaf(c, i), t)
		if err != nil {
			return a, err
		}
		t = append(t, hashes...)
	}
	root, err := tlog.TreeHash(c.Size, t)
	if err != nil {
		return a, err
	}
	origin, _, _ := strings.Cut(c.Vkey, "+")
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, c.Size, root)
	if err := check(c, text, root); err != nil {
		return a, err
	}
	signer, err := note.NewSigner(c.Skey)
	if err != nil {
		return a, err
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return a, err
	}
	a.Checkpoint = string(signed)
	if a.Inclusion, err = tlog.ProveRecord(c.Size, c.Index, t); err != nil {
		return a, err
	}
	if a.Consistency, err = tlog.ProveTree(c.Size, c.OldSize, t); err != nil {
		return a, err
	}
	for _, tile := range tlog.NewTiles(8, 0, c.Size) {
		data, err := tlog.ReadTileData(tile, t)
		if err != nil {
			return a, err
		}
		sum := sha256.Sum256(data)
		a.Tiles = append(a.Tiles, [2]string{strings.Replace(tile.Path(), "tile/8/", "tile/", 1), hex.EncodeToString(sum[:])})
	}
	return a, nil
}

// check has x/mod judge what Counterfoil made.
func check(c testCase, text string, root tlog.Hash) error {
	verifier, err := note.NewVerifier(c.Vkey)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(c.Checkpoint), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	if opened.Text != text {
		return errors.New("the checkpoint says another tree: " + opened.Text)
	}
	if err := tlog.CheckRecord(c.Inclusion, c.Size, root, c.Index, tlog.RecordHash(leaf(c, c.Index))); err != nil {
		return fmt.Errorf("inclusion: %w", err)
	}
	if err := tlog.CheckTree(c.Consistency, c.Size, root, c.OldSize, c.OldRoot); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	return nil
}

func leaf(c testCase, i int64) []byte {
	return []byte(fmt.Sprintf("%s/%d", c.Seed, i))
}
