// Resolves each argument with Go's own resolver and prints: name, error or "ok", milliseconds,
// addresses.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	for _, name := range os.Args[1:] {
		start := time.Now()
		list, err := resolver.LookupIPAddr(context.Background(), name)
		status := "ok"
		if err != nil {
			status = "failed"
		}
		fmt.Print(name, " ", status, " ", time.Since(start).Milliseconds())
		for _, address := range list {
			fmt.Print(" ", address.String())
		}
		fmt.Println()
	}
}
