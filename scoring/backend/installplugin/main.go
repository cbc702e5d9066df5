// Command installplugin runs go-xla's own installer of the XLA CPU plugin: the
// second way of scripts/plugin.sh, for machines without pip.
package main

import (
	"log"

	"github.com/gomlx/go-xla/installer"
)

func main() {
	folder, err := installer.DefaultHomeLibPath()
	if err != nil {
		log.Fatal(err)
	}
	if err := installer.AutoInstall(folder, true, installer.Quiet); err != nil {
		log.Fatal(err)
	}
}
