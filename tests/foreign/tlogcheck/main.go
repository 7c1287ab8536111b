// Command tlogcheck gives the verdicts of Go's own libraries on what our ledger says.
//
// It reads {"vkey": …, "probes": [{"kind": …, …}]} as JSON on standard input and writes a JSON list
// with one line for each probe: "" for accepted, else the reason. Nothing in it is ours but this
// file: notes are opened by golang.org/x/mod/sumdb/note, proofs checked by sumdb/tlog.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Probe is one question. Hashes are base64, Old and New sizes; an inclusion proof is for New.
type Probe struct {
	Kind    string   `json:"kind"`
	Note    string   `json:"note"`
	Index   int64    `json:"index"`
	Old     int64    `json:"old"`
	New     int64    `json:"new"`
	Leaf    string   `json:"leaf"`
	Hashes  []string `json:"hashes"`
	OldRoot string   `json:"old_root"`
	NewRoot string   `json:"new_root"`
}

// Request is all that is asked at once.
type Request struct {
	VKey   string  `json:"vkey"`
	Probes []Probe `json:"probes"`
}

func main() {
	var request Request
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	verdicts := make([]string, len(request.Probes))
	for i, probe := range request.Probes {
		if err := check(request.VKey, probe); err != nil {
			verdicts[i] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		os.Exit(2)
	}
}

func check(vkey string, probe Probe) error {
	switch probe.Kind {
	case "checkpoint":
		_, err := open(vkey, probe.Note)
		return err
	case "inclusion":
		proof, err := decodeAll(probe.Hashes)
		if err != nil {
			return err
		}
		leaf, err := decode(probe.Leaf)
		if err != nil {
			return err
		}
		root, err := decode(probe.NewRoot)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(tlog.RecordProof(proof), probe.New, root, probe.Index, leaf)
	case "consistency":
		return checkTree(probe)
	case "file":
		return checkFile(vkey, probe)
	}
	return fmt.Errorf("no such kind: %q", probe.Kind)
}

func checkTree(probe Probe) error {
	proof, err := decodeAll(probe.Hashes)
	if err != nil {
		return err
	}
	older, err := decode(probe.OldRoot)
	if err != nil {
		return err
	}
	newer, err := decode(probe.NewRoot)
	if err != nil {
		return err
	}
	return tlog.CheckTree(tlog.TreeProof(proof), probe.New, newer, probe.Old, older)
}

// checkFile verifies a C2SP tlog-proof file: header lines, hashes, a blank line, a checkpoint. The
// entry is in its extra line.
func checkFile(vkey string, probe Probe) error {
	header, signed, found := strings.Cut(probe.Note, "\n\n")
	lines := strings.Split(header, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	lines = lines[1:]
	var entry []byte
	if strings.HasPrefix(lines[0], "extra ") {
		var err error
		if entry, err = base64.StdEncoding.DecodeString(lines[0][len("extra "):]); err != nil {
			return err
		}
		lines = lines[1:]
	}
	if entry == nil || len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return errors.New("no entry, or no index")
	}
	index, err := strconv.ParseInt(lines[0][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	proof, err := decodeAll(lines[1:])
	if err != nil {
		return err
	}
	head, err := open(vkey, signed)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(tlog.RecordProof(proof), head.N, head.Hash, index, tlog.RecordHash(entry))
}

// open verifies a signed note and reads its three lines. sumdb/tlog itself insists on the first
// line of Go's own log, so that line is exchanged before it parses the rest.
func open(vkey, signed string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := bytes.Cut([]byte(opened.Text), []byte("\n"))
	if string(origin) != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("another origin: %q", origin)
	}
	return tlog.ParseTree(append([]byte("go.sum database tree\n"), rest...))
}

func decodeAll(texts []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		hash, err := decode(text)
		if err != nil {
			return nil, err
		}
		hashes[i] = hash
	}
	return hashes, nil
}

func decode(text string) (tlog.Hash, error) {
	var hash tlog.Hash
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return hash, err
	}
	if len(content) != len(hash) {
		return hash, fmt.Errorf("a hash of %d bytes", len(content))
	}
	copy(hash[:], content)
	return hash, nil
}
