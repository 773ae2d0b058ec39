// A registry with TLS that asks for a user and a password: the one of go-containerregistry, as `crane registry serve` runs
// it. Says on its standard output, in a line of JSON each, who asked for what, and what he got.
package main

import (
	"crypto/subtle"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

type request struct {
	User   string `json:"user"`
	Agent  string `json:"agent"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Code   int    `json:"code"`
}

type door struct {
	inside         http.Handler
	user, password string
	said           *json.Encoder
}

func (d door) ServeHTTP(answer http.ResponseWriter, asked *http.Request) {
	user, password, _ := asked.BasicAuth()
	noted := &answered{ResponseWriter: answer, code: http.StatusOK}
	if d.knows(user, password) {
		d.inside.ServeHTTP(noted, asked)
	} else {
		user = ""
		noted.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(noted, `{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}`, http.StatusUnauthorized)
	}
	_ = d.said.Encode(request{user, asked.UserAgent(), asked.Method, asked.URL.Path, noted.code})
}

func (d door) knows(user, password string) bool {
	return user == d.user && subtle.ConstantTimeCompare([]byte(password), []byte(d.password)) == 1
}

type answered struct {
	http.ResponseWriter
	code int
}

func (a *answered) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

func main() {
	address := flag.String("address", "", "where to listen")
	folder := flag.String("folder", "", "of the blobs")
	certificate := flag.String("certificate", "", "file")
	key := flag.String("key", "", "file")
	user := flag.String("user", "", "who may read and write; his password is in $REGISTRY_PASSWORD")
	flag.Parse()
	blobs := registry.WithBlobHandler(registry.NewDiskBlobHandler(*folder))
	// Its own log is said better by ours.
	inside := registry.New(blobs, registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	// The registry reads one upload at a time. Over HTTP/2 those that wait would fill the one window of the connection, and
	// the one that is read would wait for them.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := http.Server{
		Protocols:         &protocols,
		Addr:              *address,
		ReadHeaderTimeout: 5 * time.Second,
		Handler:           door{inside, *user, os.Getenv("REGISTRY_PASSWORD"), json.NewEncoder(os.Stdout)},
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}
