// Command gateway runs the servers that tests of the S3 store need: the
// versitygw S3 server over a folder, or toxiproxy, which spoils connections to
// it. It is a module of its own, so that their dependencies are not curate's.
//
//	gateway s3 -address HOST:PORT -data DIR -versions DIR [-sidecar DIR] [-cert FILE -key FILE]
//	gateway proxy -address HOST:PORT
//
// Keys come from ROOT_ACCESS_KEY and ROOT_SECRET_KEY. A server ends when its
// standard input does, so none outlives the test that started it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// run serves until standard input ends, or serving fails.
func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say s3 or proxy")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	address := flags.String("address", "", "host and port to listen on")
	data := flags.String("data", "", "folder whose folders are the buckets")
	versions := flags.String("versions", "", "folder of old object versions")
	sidecar := flags.String("sidecar", "", "folder for metadata where file systems lack extended attributes")
	cert := flags.String("cert", "", "certificate; serves https")
	key := flags.String("key", "", "key of the certificate")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	failed := make(chan error, 1)
	switch args[0] {
	case "s3":
		go func() { failed <- serveS3(*address, *data, *versions, *sidecar, *cert, *key) }()
	case "proxy":
		go func() { failed <- serveProxy(*address) }()
	default:
		return fmt.Errorf("%q: say s3 or proxy", args[0])
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// serveS3 serves the buckets in a folder.
func serveS3(address, data, versions, sidecar, cert, key string) error {
	// The gateway changes its working folder.
	for _, name := range []*string{&data, &versions, &sidecar, &cert, &key} {
		if *name == "" {
			continue
		}
		abs, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = abs
	}
	var store meta.MetadataStorer = meta.XattrMeta{}
	if sidecar != "" {
		s, err := meta.NewSideCar(sidecar)
		if err != nil {
			return fmt.Errorf("open sidecar folder: %w", err)
		}
		store = s
	} else if err := (meta.XattrMeta{}).Test(data); err != nil {
		return fmt.Errorf("test extended attributes: %w", err)
	}
	backend, err := posix.New(data, store, posix.PosixOpts{VersioningDir: versions, SideCarDir: sidecar, Concurrency: 100})
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	return embedgw.RunVersityGW(context.Background(), backend, &embedgw.Config{
		RootUserAccess: os.Getenv("ROOT_ACCESS_KEY"), RootUserSecret: os.Getenv("ROOT_SECRET_KEY"),
		Ports: []string{address}, MaxConnections: 1000, MaxRequests: 500, MultipartMaxParts: 10000,
		CertFile: cert, KeyFile: key, Quiet: true, KeepAlive: true,
	})
}

// serveProxy serves toxiproxy's control interface.
func serveProxy(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()).Listen(host, port)
	return errors.New("toxiproxy ended")
}
