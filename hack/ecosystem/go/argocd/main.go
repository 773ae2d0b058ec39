// Argo CD's application controller and its repository server, chosen by name as in its own program. That one has nine more
// in it, and would be built with all that they need.
package main

import (
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"argocd-application-controller": controller.NewCommand,
		"argocd-repo-server":            reposerver.NewCommand,
	}
	name := os.Getenv("ARGOCD_BINARY_NAME")
	command, known := commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "ARGOCD_BINARY_NAME=%s: not built in\n", name)
		os.Exit(2)
	}
	if command().Execute() != nil {
		os.Exit(1)
	}
}
