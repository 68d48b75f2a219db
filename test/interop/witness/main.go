// The transparency-dev project's witness and its client, as they ship: core, HTTP handler, memory.
//
//	witness serve NAME LOG_VKEY…   prints "<url> <verifier key>" and answers add-checkpoint until it is killed
//	witness submit URL             one JSON object a line in, {old, proof, checkpoint}; one a line out, {signatures, size, refused}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"

	f_note "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 3 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3:])
	case len(os.Args) == 3 && os.Args[1] == "submit":
		err = submit(os.Args[2])
	default:
		err = fmt.Errorf("usage: witness serve NAME LOG_VKEY… | witness submit URL")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(name string, vkeys []string) error {
	secret, public, err := note.GenerateKey(nil, name)
	if err != nil {
		return err
	}
	signer, err := f_note.NewSignerForCosignatureV1(secret)
	if err != nil {
		return err
	}
	vkey, err := f_note.VKeyToCosignatureV1(public)
	if err != nil {
		return err
	}
	logs := map[string]note.Verifier{}
	for _, text := range vkeys {
		verifier, err := note.NewVerifier(text)
		if err != nil {
			return err
		}
		logs[verifier.Name()] = verifier
	}
	core, err := witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			verifier, ok := logs[origin]
			return verifier, ok, nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	http.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(core).AddCheckpoint)
	fmt.Printf("http://%s %s\n", listener.Addr(), vkey)
	return http.Serve(listener, nil)
}

type request struct {
	Old        uint64   `json:"old"`
	Proof      [][]byte `json:"proof"`
	Checkpoint string   `json:"checkpoint"`
}

type answer struct {
	Signatures string `json:"signatures"`
	Size       uint64 `json:"size"`
	Refused    string `json:"refused"`
}

func submit(prefix string) error {
	to, err := url.Parse(prefix)
	if err != nil {
		return err
	}
	asked := client.NewWitness(to, http.DefaultClient)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		signatures, size, err := asked.Update(context.Background(), r.Old, []byte(r.Checkpoint), r.Proof)
		a := answer{Signatures: string(signatures), Size: size}
		if err != nil {
			a.Refused = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return in.Err()
}
